"""The layers of our models, one by one, so that every family can say what it calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

MOST_BLOCKS = 64  # of a stage; the deepest ResNet in use has 36


@dataclass(frozen=True)
class Layer:
    """A convolution, batch norm or linear layer, wherever a model may have one.

    ``name``: ours, such as ``backbone.slow.stages.0.2.a.conv``. ``role``: ``stem``, ``branch``
    (``part`` a, b or c), ``shortcut``, ``lateral``, ``nonlocal`` (``part`` theta, phi, g, out or
    norm), ``classifier`` or ``hidden`` (``part`` first or last). ``path``: 0 Slow, 1 Fast.
    ``stage``: 0..3 for res2..res5; of a lateral connection the stage that it leads into.
    ``block``: within the stage.
    """

    name: str
    role: Literal["stem", "branch", "shortcut", "lateral", "nonlocal", "classifier", "hidden"]
    is_norm: bool = False
    path: int = 0
    stage: int = 0
    block: int = 0
    part: str = ""


# What a family calls a layer: every name that its files may use, none where it has no such layer.
Naming = Callable[[Layer], list[str]]


@cache
def all_layers() -> tuple[Layer, ...]:
    """Every layer that a model of ours may have."""
    return tuple(_enumerate())


def _enumerate() -> Iterator[Layer]:
    for path, pathway in enumerate(("slow", "fast")):
        prefix = f"backbone.{pathway}"
        for kind, is_norm in (("conv", False), ("norm", True)):
            yield Layer(f"{prefix}.stem.layer.{kind}", "stem", is_norm, path)
            for stage in range(4):
                for block in range(MOST_BLOCKS):
                    where = (is_norm, path, stage, block)
                    name = f"{prefix}.stages.{stage}.{block}"
                    yield Layer(f"{name}.shortcut.{kind}", "shortcut", *where)
                    for part in "abc":
                        yield Layer(f"{name}.{part}.{kind}", "branch", *where, part)
    for stage in range(4):
        yield Layer(f"backbone.laterals.{stage}.conv", "lateral", stage=stage)
        yield Layer(f"backbone.laterals.{stage}.norm", "lateral", True, stage=stage)
        for block in range(MOST_BLOCKS):
            for part in ("theta", "phi", "g", "out", "norm"):
                name = f"backbone.slow.stages.{stage}.{block}_nonlocal.{part}"
                yield Layer(name, "nonlocal", part == "norm", 0, stage, block, part)
    yield Layer("head.classifier", "classifier")
    yield Layer("head.classifier.0", "hidden", part="first")
    yield Layer("head.classifier.2", "hidden", part="last")


def foreign_names(naming: Naming) -> dict[str, Layer]:
    """From what a family calls a layer to the layer."""
    return {name: layer for layer in all_layers() for name in naming(layer)}
