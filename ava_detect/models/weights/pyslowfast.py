"""PySlowFast's checkpoints (``.pyth``), read and written.

Names as in its ``slowfast/models``, settings as in its ``slowfast/config/defaults.py`` at 287ec00.
A checkpoint is ``{"epoch", "model_state", "optimizer_state", "cfg"}``; ``cfg`` is YAML text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from torch import Tensor

from ava_detect.models.weights.layers import Layer, all_layers
from ava_eval.errors import InputError

DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101}
NONLOCAL_PARTS = {name: f"conv_{name}" for name in ("theta", "phi", "g", "out")} | {"norm": "bn"}


def names(layer: Layer) -> list[str]:
    """What PySlowFast calls a layer."""
    stage = f"s{layer.stage + 2}.pathway{layer.path}"
    if layer.role == "stem":
        return [f"s1.pathway{layer.path}_stem.{'bn' if layer.is_norm else 'conv'}"]
    if layer.role == "branch":
        norm = "_bn" if layer.is_norm else ""
        return [f"{stage}_res{layer.block}.branch2.{layer.part}{norm}"]
    if layer.role == "shortcut":
        return [f"{stage}_res{layer.block}.branch1{'_bn' if layer.is_norm else ''}"]
    if layer.role == "lateral":
        return [f"s{layer.stage + 1}_fuse.{'bn' if layer.is_norm else 'conv_f2s'}"]
    if layer.role == "nonlocal":
        return [f"{stage}_nonlocal{layer.block}.{NONLOCAL_PARTS[layer.part]}"]
    return ["head.projection"] if layer.role == "classifier" else []


def settings(cfg: str | None, path: str) -> dict[str, Any]:
    """What the text of a checkpoint's config says, under our names; empty without a text.

    ``model`` holds settings of the model, ``num_frames``, ``sampling_rate`` and ``kind`` the rest.
    Raises InputError for models that are not SlowFast's.
    """
    if not cfg:
        return {}
    try:
        said = yaml.safe_load(cfg)
        detection, resnet, data = said["DETECTION"], said["RESNET"], said["DATA"]
        nonlocal_, slowfast = said["NONLOCAL"], said["SLOWFAST"]
        for section, key, wanted in (
            ("RESNET", "TRANS_FUNC", "bottleneck_transform"),
            ("RESNET", "STRIDE_1X1", False),
            ("RESNET", "NUM_GROUPS", 1),
        ):
            if said[section][key] != wanted:
                raise InputError(
                    f"{path}: {section}.{key}: expected {wanted}, got {said[section][key]}"
                )
        if said["MODEL"]["ARCH"] not in ("slow", "slowfast"):
            raise InputError(
                f"{path}: MODEL.ARCH: expected slow or slowfast, got {said['MODEL']['ARCH']}"
            )
        if any(group != 1 for stage in nonlocal_["GROUP"] for group in stage):
            raise InputError(f"{path}: NONLOCAL.GROUP: expected 1 everywhere")
        two = len(resnet["SPATIAL_STRIDES"][0]) == 2 and said["MODEL"]["ARCH"] == "slowfast"
        return {
            "kind": "ava" if detection["ENABLE"] else "kinetics",
            "num_frames": data["NUM_FRAMES"],
            "sampling_rate": data["SAMPLING_RATE"],
            "model": {
                "alpha": slowfast["ALPHA"] if two else 1,
                "mean": tuple(data["MEAN"]),
                "std": tuple(data["STD"]),
                "strides": tuple(stage[0] for stage in resnet["SPATIAL_STRIDES"][:3]),
                "res5_stride": resnet["SPATIAL_STRIDES"][3][0],
                "res5_dilation": resnet["SPATIAL_DILATIONS"][3][0],
                "roi_aligned": detection["ALIGNED"],
                "roi_resolution": detection["ROI_XFORM_RESOLUTION"],
                "nonlocal_kind": nonlocal_["INSTANTIATION"],
                "nonlocal_pool": tuple(nonlocal_["POOL"][2][0]),
                "dropout": said["MODEL"]["DROPOUT_RATE"],
            },
        }
    except (yaml.YAMLError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            f"{path}: cfg: expected the config of a PySlowFast run, got {type(error).__name__}"
            f" {error}"
        ) from None


def to_checkpoint(
    state: Mapping[str, Tensor],
    model: Mapping[str, Any],
    *,
    kind: str,
    num_classes: int,
    num_frames: int,
    sampling_rate: int,
) -> dict[str, Any]:
    """A checkpoint in PySlowFast's layout, of ``state`` and the settings of our model.

    Raises InputError naming the setting where PySlowFast has no such model.
    """
    for key, wanted in (
        ("block", "bottleneck"),
        ("stem", "conv7"),
        ("slow_sampling", "spread"),
        ("fast_input", "rgb"),
        ("lateral", "time_strided_conv"),
        ("fusion_norm", True),
        ("roi_over_time", "mean"),
        ("roi_over_space", "max"),
        ("context", False),
        ("hidden", None),
        ("slow_temporal", (1, 1, 3, 3)),
        ("fast_temporal", (3, 3, 3, 3)),
    ):
        if model[key] != wanted:
            raise InputError(f"model.{key}: PySlowFast has only {wanted}, got {model[key]}")
    if model["pathways"] == "fast":
        raise InputError("model.pathways: PySlowFast has no Fast pathway alone")
    if model["depths"] not in DEPTHS:
        raise InputError(f"model.depths: PySlowFast has only R50 and R101, got {model['depths']}")
    width = model["widths"][0]
    if model["widths"] != (width, 2 * width, 4 * width, 8 * width):
        raise InputError(
            f"model.widths: PySlowFast doubles them from stage to stage, got {model['widths']}"
        )
    theirs = {layer.name: name for layer in all_layers() for name in names(layer)}
    renamed = {}
    for key, tensor in state.items():
        layer, _, leaf = key.rpartition(".")
        renamed[f"{theirs[layer]}.{leaf}"] = tensor
    return {
        "model_state": renamed,
        "cfg": yaml.safe_dump(
            _cfg(model, kind, num_classes)
            | {
                "DATA": {
                    "NUM_FRAMES": num_frames,
                    "SAMPLING_RATE": sampling_rate,
                    "MEAN": list(model["mean"]),
                    "STD": list(model["std"]),
                    "INPUT_CHANNEL_NUM": [3, 3] if model["pathways"] == "slowfast" else [3],
                },
            }
        ),
    }


def _cfg(model: Mapping[str, Any], kind: str, num_classes: int) -> dict[str, Any]:
    """The sections of PySlowFast's config that decide what a model computes."""
    paths = 2 if model["pathways"] == "slowfast" else 1
    slow_depths = model["temporal_depths"] or model["depths"]
    fast_depths = model["fast_temporal_depths"] or slow_depths
    strides = [*model["strides"], model["res5_stride"]]
    pools = [list(model["nonlocal_pool"])] * paths
    locations = [[list(blocks)] + [[]] * (paths - 1) for blocks in model["nonlocal_blocks"]]
    return {
        "MODEL": {
            "ARCH": model["pathways"],
            "MODEL_NAME": "SlowFast" if paths == 2 else "ResNet",
            "NUM_CLASSES": num_classes,
            "DROPOUT_RATE": model["dropout"],
            "HEAD_ACT": "sigmoid" if kind == "ava" else "softmax",
        },
        "SLOWFAST": {
            "ALPHA": model["alpha"],
            "BETA_INV": model["beta_inv"],
            "FUSION_CONV_CHANNEL_RATIO": 2,
            "FUSION_KERNEL_SZ": model["fusion_kernel"],
        },
        "RESNET": {
            "DEPTH": DEPTHS[model["depths"]],
            "TRANS_FUNC": "bottleneck_transform",
            "STRIDE_1X1": False,
            "NUM_GROUPS": 1,
            "WIDTH_PER_GROUP": model["widths"][0],
            "NUM_BLOCK_TEMP_KERNEL": [
                list(blocks)[:paths] for blocks in zip(slow_depths, fast_depths, strict=True)
            ],
            "SPATIAL_STRIDES": [[stride] * paths for stride in strides],
            "SPATIAL_DILATIONS": [[d] * paths for d in (1, 1, 1, model["res5_dilation"])],
        },
        "NONLOCAL": {
            "LOCATION": locations,
            "GROUP": [[1] * paths] * 4,
            "INSTANTIATION": model["nonlocal_kind"],
            "POOL": [pools] * 4,
        },
        "DETECTION": {
            "ENABLE": kind == "ava",
            "ALIGNED": model["roi_aligned"],
            "ROI_XFORM_RESOLUTION": model["roi_resolution"],
        },
    }
