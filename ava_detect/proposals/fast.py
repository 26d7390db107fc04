"""The same answers sooner: person detectors prepared for inference."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

FROZEN_NORM = "FrozenBatchNorm2d"  # detectron2's, which may not be there to import


def run_faster(model: nn.Module, dtype: torch.dtype) -> None:
    """Prepare a detector in place: norms folded, channels last, its backbone in ``dtype``.

    Answers change by rounding alone. The model cannot be trained any more, and with another dtype
    than float32 it runs under autocast only.
    """
    for module in list(model.modules()):
        norm = getattr(module, "norm", None)
        if isinstance(module, nn.Conv2d) and _is_fixed(norm):
            _fold_norm(module, norm)
    model.to(memory_format=torch.channels_last)
    if dtype == torch.float32:
        return
    for module in model.get_submodule("backbone").modules():
        if isinstance(module, nn.Conv2d) and getattr(module, "norm", None) is None:
            # Once: autocast would cast these weights anew for every batch where they are frozen.
            module.to(dtype)


def _is_fixed(norm: nn.Module | None) -> bool:
    """Whether a norm has no statistics of its input."""
    return isinstance(norm, nn.BatchNorm2d) or type(norm).__name__ == FROZEN_NORM


def _fold_norm(convolution: nn.Conv2d, norm: Any) -> None:
    """Make the norm that detectron2 keeps in a convolution part of its weights."""
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps,
        norm.weight, norm.bias,
    )  # fmt: skip
    convolution.weight, convolution.bias = weight, bias
    setattr(convolution, "norm", None)  # noqa: B010, for mypy
