"""mmaction2's checkpoints (``{"meta", "state_dict"}``), of SlowFast and of SlowOnly.

Names as in its ``mmaction/models`` at 4d6c934.
"""

from __future__ import annotations

from torch import Tensor

from ava_detect.models.weights.layers import Layer

NUMBERS = {"a": "conv1", "b": "conv2", "c": "conv3"}
# What its models do besides the names: its normalisation is ImageNet's, in units of 1/255.
SETTINGS = {
    "slow_sampling": "strided",
    "res5_dilation": 1,
    "roi_resolution": 8,
    "roi_aligned": True,
    "mean": (123.675 / 255, 116.28 / 255, 103.53 / 255),
    "std": (58.395 / 255, 57.12 / 255, 57.375 / 255),
}


def names(layer: Layer) -> list[str]:
    """What mmaction2 calls a layer, in its two-pathway and in its one-pathway networks."""
    kind = "bn" if layer.is_norm else "conv"
    slow = ["backbone.slow_path", "backbone"]
    paths = ["backbone.fast_path"] if layer.path == 1 else slow
    if layer.role == "stem":
        return [f"{path}.conv1.{kind}" for path in paths]
    block = f"layer{layer.stage + 1}.{layer.block}"
    if layer.role == "branch":
        return [f"{path}.{block}.{NUMBERS[layer.part]}.{kind}" for path in paths]
    if layer.role == "shortcut":
        return [f"{path}.{block}.downsample.{kind}" for path in paths]
    if layer.role == "lateral":
        before = "conv1" if layer.stage == 0 else f"layer{layer.stage}"
        return [f"backbone.slow_path.{before}_lateral.{kind}"]
    if layer.role == "classifier":
        return ["roi_head.bbox_head.fc_cls", "cls_head.fc_cls"]
    if layer.role == "hidden":
        return [f"roi_head.bbox_head.fc_cls.{0 if layer.part == 'first' else 2}"]
    return []


def drop_background(tensor: Tensor) -> Tensor:
    """A detector's last layer without the background, row 0: f[1+C,...] -> f[C,...]."""
    return tensor[1:]
