"""What the tensors themselves say about the model that they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

PATHS = ("slow", "fast")


def model_settings(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings of the model that ``state``, under our names, was taken from.

    Raises ValueError that names the tensor where it is none of ours.
    """
    paths = [path for path in PATHS if f"backbone.{path}.stem.layer.conv.weight" in state]
    if not paths:
        raise ValueError("backbone: no first layer of a Slow or Fast pathway")
    main = f"backbone.{paths[0]}"
    depths = tuple(_count(state, rf"{re.escape(main)}\.stages\.{s}\.(\d+)\.") for s in range(4))
    first = [f"{main}.stages.{s}.0.a.conv.weight" for s in range(4)]
    widths = tuple(_shape(state, key)[0] for key in first)
    settings: dict[str, Any] = {
        "pathways": "slowfast" if len(paths) == 2 else paths[0],
        "depths": depths,
        "widths": widths,
        "temporal_depths": _temporal_depths(state, paths[0], depths),
    }
    for path in paths:
        keys = [f"backbone.{path}.stages.{s}.0.a.conv.weight" for s in range(4)]
        settings[f"{path}_temporal"] = tuple(_shape(state, key)[2] for key in keys)
    if paths == ["fast"]:
        settings["widths"] = tuple(8 * width for width in widths)
        settings["beta_inv"] = 8
    if len(paths) == 2:
        stems = [_shape(state, f"backbone.{path}.stem.layer.conv.weight")[0] for path in PATHS]
        settings["beta_inv"] = stems[0] // stems[1]
        join = _shape(state, "backbone.laterals.0.conv.weight")
        settings["fusion_kernel"] = join[2]
        settings["fusion_norm"] = "backbone.laterals.0.norm.weight" in state
        fast_depths = _temporal_depths(state, "fast", depths)
        slow_depths = settings["temporal_depths"] or depths
        if any(
            fast != slow and kernel > 1
            for fast, slow, kernel in zip(
                fast_depths or depths, slow_depths, settings["fast_temporal"], strict=True
            )
        ):
            settings["fast_temporal_depths"] = fast_depths or depths
    if any("_nonlocal." in key for key in state):
        settings["nonlocal_blocks"] = tuple(
            tuple(sorted(_numbers(state, rf"backbone\.slow\.stages\.{s}\.(\d+)_nonlocal\.")))
            for s in range(4)
        )
    if "head.classifier.0.weight" in state:
        settings["hidden"] = _shape(state, "head.classifier.0.weight")[0]
    return settings


def num_classes(state: Mapping[str, Tensor]) -> int | None:
    """Outputs of the last layer; None where there is none."""
    for key in ("head.classifier.weight", "head.classifier.2.weight"):
        if key in state:
            return state[key].shape[0]
    return None


def _temporal_depths(
    state: Mapping[str, Tensor], path: str, depths: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Blocks of each stage that see time, all of one in which none does; None where it is all."""
    found = []
    for s, depth in enumerate(depths):
        keys = [f"backbone.{path}.stages.{s}.{b}.a.conv.weight" for b in range(depth)]
        kernels = [_shape(state, key)[2] for key in keys]
        seeing = sum(kernel > 1 for kernel in kernels)
        found.append(seeing or depth)
    return None if tuple(found) == depths else tuple(found)


def _shape(state: Mapping[str, Tensor], key: str) -> tuple[int, ...]:
    if key not in state:
        raise ValueError(f"{key}: no such tensor")
    return tuple(state[key].shape)


def _numbers(state: Mapping[str, Tensor], pattern: str) -> set[int]:
    return {int(found[1]) for key in state if (found := re.match(pattern, key))}


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return max(_numbers(state, pattern), default=-1) + 1
