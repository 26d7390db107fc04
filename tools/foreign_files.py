"""Our weights under the names of Caffe2, to compare and test with; nobody needs to write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ava_detect.models.weights import caffe2
from ava_detect.models.weights.layers import Layer, all_layers


def caffe2_blobs(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Tensors of our model -> blobs, with what an optimiser would leave beside them."""
    layers = {layer.name: layer for layer in all_layers()}
    blobs: dict[str, Any] = {"lr": np.float32(0.1), "model_iter": np.int64(7)}
    for key, tensor in state.items():
        name, _, leaf = key.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        suffixes = caffe2.NORM_LEAVES if layers[name].is_norm else caffe2.LEAVES
        suffix = next(short for short, long in suffixes.items() if long == leaf)
        blob = caffe2.names(layers[name])[_last_block(layers[name], state)]
        blobs[f"{blob}_{suffix}"] = tensor.numpy()
        blobs[f"{blob}_{suffix}_momentum"] = np.zeros_like(tensor.numpy())
    return blobs


def _last_block(layer: Layer, state: Mapping[str, Tensor]) -> int:
    """Lateral connections are called after the last block before them; else there is one name."""
    if layer.role != "lateral" or layer.stage == 0:
        return 0
    prefix = f"backbone.fast.stages.{layer.stage - 1}."
    return max(int(key[len(prefix) :].split(".")[0]) for key in state if key.startswith(prefix))
