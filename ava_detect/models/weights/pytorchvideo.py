"""PyTorchVideo's hub models (``{"model_state": ...}``).

Names as in its ``pytorchvideo/models`` at f3142bb; a detector's begin with ``model.``.
"""

from __future__ import annotations

from ava_detect.models.weights.layers import Layer


def names(layer: Layer) -> list[str]:
    """What PyTorchVideo calls a layer, in its two-pathway and in its one-pathway networks."""
    kind = "norm" if layer.is_norm else "conv"
    if layer.role == "classifier":
        return ["detection_head.proj", "blocks.6.proj", "blocks.5.proj"]
    if layer.role == "lateral":
        last = "norm" if layer.is_norm else "conv_fast_to_slow"
        return _with_prefix([f"blocks.{layer.stage}.multipathway_fusion.{last}"])
    if layer.role == "stem":
        inside = kind
        index = 0
    elif layer.role == "branch":
        inside = f"res_blocks.{layer.block}.branch2.{kind}_{layer.part}"
        index = layer.stage + 1
    elif layer.role == "shortcut":
        inside = f"res_blocks.{layer.block}.branch1_{kind}"
        index = layer.stage + 1
    else:
        return []
    two = f"blocks.{index}.multipathway_blocks.{layer.path}.{inside}"
    one = [f"blocks.{index}.{inside}"] if layer.path == 0 else []
    return _with_prefix([two, *one])


def _with_prefix(keys: list[str]) -> list[str]:
    return [*keys, *(f"model.{key}" for key in keys)]
