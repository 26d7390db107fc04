"""The Caffe2 files of the PySlowFast model zoo (``.pkl``, ``{"blobs": {name: array}}``).

Names as in PySlowFast's ``slowfast/utils/c2_model_loading.py`` at 287ec00.
"""

from __future__ import annotations

from ava_detect.models.weights.layers import Layer

# suffixes of blobs: of batch norms s, b, rm and riv (which is the variance, not its inverse)
NORM_LEAVES = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
LEAVES = {"w": "weight", "b": "bias"}


def names(layer: Layer) -> list[str]:
    """What Caffe2 calls a layer, without the suffix of the blob."""
    fast = "t_" if layer.path == 1 else ""
    norm = "_bn" if layer.is_norm else ""
    if layer.role == "stem":
        return [f"{fast}res_conv1_bn" if layer.is_norm else f"{fast}conv1"]
    if layer.role == "branch":
        return [f"{fast}res{layer.stage + 2}_{layer.block}_branch2{layer.part}{norm}"]
    if layer.role == "shortcut":
        return [f"{fast}res{layer.stage + 2}_{layer.block}_branch1{norm}"]
    if layer.role == "lateral" and layer.stage == 0:
        return [f"t_pool1_subsample{norm}"]
    if layer.role == "lateral":  # named after the last block before it, whichever that is
        before = f"t_res{layer.stage + 1}"
        return [f"{before}_{block}_branch2c_bn_subsample{norm}" for block in range(64)]
    if layer.role == "nonlocal":
        part = "bn" if layer.is_norm else layer.part
        return [f"nonlocal_conv{layer.stage + 2}_{layer.block}_{part}"]
    return ["pred"] if layer.role == "classifier" else []


def split(blob: str) -> tuple[str, str]:
    """Name of a blob -> layer and our leaf, as in ``conv1_w`` -> ``conv1``, ``weight``.

    The leaf is empty for what belongs to the optimiser.
    """
    if blob.endswith("_momentum") or blob in ("lr", "model_iter"):
        return blob, ""
    layer, _, leaf = blob.rpartition("_")
    return layer, (NORM_LEAVES if layer.endswith("_bn") else LEAVES).get(leaf, leaf)
