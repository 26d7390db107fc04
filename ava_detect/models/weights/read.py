"""From a file of any family to tensors under our names and the settings of their model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ava_detect.models.weights import caffe2, mmaction2, pyslowfast, pytorchvideo
from ava_detect.models.weights.files import read_file
from ava_detect.models.weights.layers import Naming, foreign_names
from ava_detect.models.weights.structure import model_settings, num_classes
from ava_eval.errors import InputError

# What all of the families have in common; a recipe beside a file does not change it.
FIXED: dict[str, Any] = {
    "block": "bottleneck",
    "stem": "conv7",
    "strides": (1, 2, 2),
    "lateral": "time_strided_conv",
    "fast_input": "rgb",
    "slow_sampling": "spread",
    "nonlocal_blocks": ((), (), (), ()),
    "fast_temporal_depths": None,
    "hidden": None,
    "context": False,
    "roi_over_time": "mean",
    "roi_over_space": "max",
}
Kind = Literal["ava", "kinetics"]
KINETICS_CLASSES = (400, 600, 700)
LAST_LAYERS = ("head.classifier", "head.classifier.2")


@dataclass(frozen=True)
class Weights:
    """Weights of another toolbox.

    state: under our names. model: settings of the model that the file or its family decides;
    assumed: settings that the file does not tell, at their family's usual value. kind: what its
    head classifies. num_classes: None without a head.
    """

    path: Path
    family: str
    state: dict[str, Tensor]
    kind: Kind
    num_classes: int | None
    model: dict[str, Any]
    assumed: dict[str, Any] = field(default_factory=dict)
    num_frames: int | None = None
    sampling_rate: int | None = None


@dataclass(frozen=True)
class _Family:
    """A toolbox: where its file keeps the tensors, and what it calls them."""

    name: str
    holder: str  # key of the file's dictionary
    naming: Naming
    split: Callable[[str], tuple[str, str]] = lambda key: key.rpartition(".")[::2]


FAMILIES = (
    _Family("PySlowFast", "model_state", pyslowfast.names),
    _Family("PyTorchVideo", "model_state", pytorchvideo.names),
    _Family("mmaction2", "state_dict", mmaction2.names),
    _Family("Caffe2", "blobs", caffe2.names, caffe2.split),
)


def read_weights(path: str | Path) -> Weights:
    """Read a checkpoint of PySlowFast, PyTorchVideo, mmaction2 or Caffe2; its keys tell which.

    Raises InputError naming the file, and the tensor, where it is damaged, names code to run, or
    is of another architecture.
    """
    path = Path(path)
    content = read_file(path)
    family, tensors = _recognise(content, path)
    state = _renamed(family, tensors, path)
    try:
        found = model_settings(state)
    except ValueError as error:
        raise InputError(f"{path}: not a SlowFast network of {family.name}: {error}") from None
    classes = num_classes(state)
    kind, said = _said(family, content, tensors, classes, path)
    if found["pathways"] == "slow":
        found["alpha"] = 1  # it sees all that its clip samples
    usual: dict[str, Any] = {"alpha": _usual_alpha(found)}
    if "nonlocal_blocks" in found:
        usual["nonlocal_pool"] = (2, 2, 2) if kind == "ava" else (1, 2, 2)
    known = {**FIXED, **found, **said["model"]}
    assumed = {key: value for key, value in usual.items() if key not in known}
    return Weights(
        path=path,
        family=family.name,
        state=state,
        kind=kind,
        num_classes=classes,
        model=known,
        assumed=assumed,
        num_frames=said.get("num_frames"),
        sampling_rate=said.get("sampling_rate"),
    )


@cache
def _layers_of(family: _Family) -> dict[str, str]:
    """From what a family calls a layer to what we call it."""
    return {theirs: layer.name for theirs, layer in foreign_names(family.naming).items()}


def _recognise(content: Any, path: Path) -> tuple[_Family, dict[str, Any]]:
    """The family that knows most of the file's names, and its tensors without the optimiser's."""
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected a dictionary of weights, got {type(content).__name__}")
    candidates: list[tuple[int, _Family, dict[str, Any]]] = []
    for family in FAMILIES:
        tensors = content.get(family.holder, content if family.holder != "blobs" else None)
        if isinstance(tensors, Mapping):
            named = {str(key): value for key, value in tensors.items()}
            tensors = {key: value for key, value in named.items() if family.split(key)[1]}
            known = sum(family.split(key)[0] in _layers_of(family) for key in tensors)
            candidates.append((known, family, tensors))
    known, family, tensors = max(candidates, key=lambda each: each[0])
    if 2 * known <= len(tensors):
        some = ", ".join(str(key) for key in list(tensors or content)[:3])
        raise InputError(
            f"{path}: not a SlowFast network of PySlowFast, PyTorchVideo, mmaction2 or Caffe2;"
            f" its first names are {some}"
        )
    return family, tensors


def _renamed(family: _Family, tensors: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors under our names; float32."""
    layers = _layers_of(family)
    state: dict[str, Tensor] = {}
    for key, value in tensors.items():
        theirs, leaf = family.split(key)
        if theirs not in layers or leaf not in (
            *("weight", "bias", "running_mean", "running_var", "num_batches_tracked"),
        ):
            raise InputError(f"{path}: {key}: {family.name}'s SlowFast has no such tensor")
        tensor = torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value
        _check_tensor(f"{path}: {key}", layers[theirs], leaf, tensor)
        if family.name == "mmaction2" and "bbox_head" in key and layers[theirs] in LAST_LAYERS:
            tensor = mmaction2.drop_background(tensor)
        if layers[theirs] == "head.classifier" and leaf == "weight":
            tensor = tensor.flatten(1)  # a 1x1x1 convolution in some heads
        state[f"{layers[theirs]}.{leaf}"] = tensor.float() if tensor.is_floating_point() else tensor
    for key in list(state):  # Caffe2 does not count batches
        if key.endswith(".running_var"):
            counter = f"{key.rpartition('.')[0]}.num_batches_tracked"
            state.setdefault(counter, torch.tensor(0))
    return state


def _check_tensor(where: str, layer: str, leaf: str, tensor: Any) -> None:
    """Refuse what no layer of that kind has."""
    if not isinstance(tensor, Tensor):
        raise InputError(f"{where}: expected a tensor, got {type(tensor).__name__}")
    dims = {5}
    if leaf == "num_batches_tracked":
        dims = {0}
    elif leaf != "weight" or layer.endswith(".norm"):
        dims = {1}
    elif layer.startswith("head."):
        dims = {2, 5}
    if tensor.ndim not in dims or 0 in tensor.shape:
        expected = " or ".join(str(n) for n in sorted(dims))
        raise InputError(
            f"{where}: expected a tensor of {expected} dimensions, got {tuple(tensor.shape)}"
        )


def _said(
    family: _Family, content: Any, tensors: Iterable[str], classes: int | None, path: Path
) -> tuple[Kind, dict[str, Any]]:
    """What the file's head is for, and what file or family say beyond the tensors."""
    guess: Kind = "kinetics" if classes in KINETICS_CLASSES else "ava"
    if family.name == "PySlowFast":
        said = pyslowfast.settings(content.get("cfg"), str(path))
        kind: Kind = said.get("kind", guess)
        return kind, {**said, "model": {**_res5(kind), **said.get("model", {})}}
    if family.name == "PyTorchVideo":
        kind = "ava" if any("detection_head" in key for key in tensors) else "kinetics"
        return kind, {"model": {**_res5(kind), "roi_aligned": False}}
    if family.name == "mmaction2":
        kind = "kinetics" if any(key.startswith("cls_head") for key in tensors) else "ava"
        return kind, {"model": {**_res5(kind), **mmaction2.SETTINGS}}
    return guess, {"model": {**_res5(guess), "roi_aligned": False}}


def _res5(kind: str) -> dict[str, int]:
    """Detectors keep the resolution of res4; classifiers halve it."""
    stride, dilation = (1, 2) if kind == "ava" else (2, 1)
    return {"res5_stride": stride, "res5_dilation": dilation}


def _usual_alpha(found: Mapping[str, Any]) -> int:
    """What the configs of PySlowFast and mmaction2 pair with such tensors; none depends on alpha.

    R50 4x16 has 8 and fuses 5 frames; the other published ones have 4.
    """
    r50_4x16 = found["depths"] == (3, 4, 6, 3) and found.get("fusion_kernel") == 5
    return 8 if r50_4x16 and "nonlocal_blocks" not in found else 4
