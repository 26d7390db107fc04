"""The same answers sooner: person detectors prepared for inference."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import MultiScaleRoIAlign

from ava_detect.inference.winograd import WinogradSpace, is_supported
from ava_detect.proposals.roi_align import multi_scale_roi_align, roi_align

DETECTRON_ROI_ALIGN = "ROIAlign"
FROZEN_NORM = "FrozenBatchNorm2d"  # detectron2's, which may not be there to import


def run_faster(model: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
    """Prepare a detector in place: norms folded, channels last, its backbone in ``dtype``.

    On a CPU boxes are cut out of feature maps by a quicker RoIAlign, and in float32 wide 3x3
    convolutions take Winograd's way. Answers change by rounding alone. The model cannot be trained
    any more, and with another dtype than float32 it runs under autocast only.
    """
    for module in list(model.modules()):
        norm = getattr(module, "norm", None)
        if isinstance(module, nn.Conv2d) and _is_fixed(norm):
            _fold_norm(module, norm)
    model.to(memory_format=torch.channels_last)
    if device.type == "cpu":
        _exchange(model, dtype)
    if dtype == torch.float32:
        return
    for module in model.get_submodule("backbone").modules():
        if isinstance(module, nn.Conv2d) and getattr(module, "norm", None) is None:
            # Once: autocast would cast these weights anew for every batch where they are frozen.
            module.to(dtype)


def _exchange(model: nn.Module, dtype: torch.dtype) -> None:
    """Give modules another ``forward``; they stay, for detectron2 keeps some in lists, too."""
    for module in model.modules():
        if type(module).__name__ == DETECTRON_ROI_ALIGN:
            setattr(module, "forward", partial(_layer_roi_align, module))  # noqa: B010, for mypy
        elif isinstance(module, MultiScaleRoIAlign):
            setattr(module, "forward", partial(multi_scale_roi_align, module))  # noqa: B010
        elif isinstance(module, nn.Conv2d) and dtype == torch.float32 and _fits_winograd(module):
            setattr(module, "forward", WinogradForward(module))  # noqa: B010


def _layer_roi_align(layer: Any, feature: Tensor, rois: Tensor) -> Tensor:
    """What detectron2's layer does."""
    return roi_align(
        feature, rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned
    )


class WinogradForward:
    """A convolution's ``forward`` by Winograd's way where that pays."""

    def __init__(self, conv: nn.Conv2d) -> None:
        self.plain = conv.forward
        self.activation = getattr(conv, "activation", None)  # detectron2's
        self.winograd = WinogradSpace(conv.weight, conv.bias, int(conv.dilation[0]))

    def __call__(self, x: Tensor) -> Tensor:
        """f[N,C,H,W] -> f[N,out,H,W], channels last in memory."""
        if not is_supported(x) or not self.winograd.pays(1, x.shape[0], *x.shape[2:]):
            return self.plain(x)
        y = self.winograd(x.permute(0, 2, 3, 1).contiguous()).permute(0, 3, 1, 2)
        return y if self.activation is None else self.activation(y)


def _fits_winograd(conv: nn.Conv2d) -> bool:
    """Whether a convolution is one that Winograd's way knows, with no norm behind it."""
    return (
        conv.groups == 1
        and conv.padding_mode == "zeros"
        and getattr(conv, "norm", None) is None
        and WinogradSpace.fits(conv.weight, conv.stride, conv.padding, conv.dilation)
    )


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
