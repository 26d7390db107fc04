"""The same scores sooner: a model prepared for inference by exchanging its parts."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ava_detect.inference.kernels import FoldedConv, as_clips, as_images, from_positions, positions
from ava_detect.models.laterals import TimeStridedConv, fit
from ava_detect.models.network import ActionDetector
from ava_detect.models.nonlocal_block import NonLocal3d
from ava_detect.models.resnet3d import BasicBlock3d, Bottleneck3d, ConvNorm
from ava_detect.models.slowfast import ConvStem, PatchStem, space_to_depth

_log = logging.getLogger(__name__)


class FastModel(nn.Module):
    """A model prepared for inference: the same scores up to rounding, sooner.

    Its backbone computes in ``dtype``, without autocast. Where 16 bits do not reach, so that logits
    are infinite or not numbers, it goes on in float32 and says so once.
    """

    def __init__(
        self, model: ActionDetector, dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__()
        self.dtype = dtype
        # (In a list, for the caller's model is no part of this one.)
        self._exact = [] if dtype == torch.float32 else [model]
        self.prepared = prepare(model, dtype).to(device)
        self.eval()

    def forward(self, frames: Tensor, rois: Tensor) -> Tensor:
        """See ``ActionDetector.forward``."""
        logits = self.prepared(frames, rois)
        if not self._exact or logits.isfinite().all():
            return logits
        _log.warning("warning: %s overflows in this model; going on in float32", self.dtype)
        self.dtype = torch.float32
        self.prepared = prepare(self._exact.pop(), self.dtype).to(frames.device)
        return self.prepared(frames, rois)

    def scores(self, logits: Tensor) -> Tensor:
        """See ``ActionDetector.scores``."""
        return self.prepared.scores(logits)


def prepare(model: ActionDetector, dtype: torch.dtype = torch.float32) -> ActionDetector:
    """A copy of ``model`` for inference alone, whose backbone computes in ``dtype``."""
    fast = copy.deepcopy(model).eval().requires_grad_(False)
    _exchange(fast)
    fast.backbone.to(dtype)
    return fast


def _exchange(module: nn.Module) -> None:
    for name, child in module.named_children():
        make = PARTS.get(type(child))
        if make is None:
            _exchange(child)
        else:
            setattr(module, name, make(child))


def _conv(layer: ConvNorm, relu: bool) -> FoldedConv:
    return FoldedConv(layer.conv, layer.norm, relu)


class FastBlock(nn.Module):
    """A residual block: its convolutions in a row, the last one added onto the shortcut."""

    def __init__(self, block: BasicBlock3d | Bottleneck3d) -> None:
        super().__init__()
        layers = [block.a, block.b] + ([block.c] if isinstance(block, Bottleneck3d) else [])
        *first, self.last = (_conv(layer, relu=True) for layer in layers)
        self.body = nn.Sequential(*first)
        shortcut = block.shortcut
        self.shortcut = _conv(shortcut, False) if isinstance(shortcut, ConvNorm) else shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x), onto=self.shortcut(x))


class FastStem(nn.Module):
    """The 7x7 stem; its pooling sees each frame as an image."""

    def __init__(self, stem: ConvStem) -> None:
        super().__init__()
        self.layer = _conv(stem.layer, relu=True)
        self.stride = stem.stride

    def forward(self, frames: Tensor) -> Tensor:
        x = self.layer(frames)
        return as_clips(F.max_pool2d(as_images(x), 3, 2, 1), len(x))


class FastPatchStem(nn.Module):
    """The stem of patches."""

    def __init__(self, stem: PatchStem) -> None:
        super().__init__()
        self.layer = _conv(stem.layer, relu=True)
        self.stride = stem.stride

    def forward(self, frames: Tensor) -> Tensor:
        return self.layer(space_to_depth(frames, self.stride))


class FastLateral(nn.Module):
    """The lateral convolution, joined to the Slow pathway."""

    def __init__(self, lateral: TimeStridedConv) -> None:
        super().__init__()
        self.conv = FoldedConv(lateral.conv, lateral.norm, relu=lateral.norm is not None)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return torch.cat([slow, fit(self.conv(fast), slow)], dim=1)


class FastNonLocal(nn.Module):
    """The non-local block; products of positions by their number are associative.

    (Q K) V = Q (K V): a matrix of channels by channels takes the place of one of positions by
    positions.
    """

    def __init__(self, block: NonLocal3d) -> None:
        super().__init__()
        self.kind, self.pool = block.kind, block.pool
        self.theta, self.phi, self.g = (
            FoldedConv(conv, None, relu=False) for conv in (block.theta, block.phi, block.g)
        )
        self.out = FoldedConv(block.out, block.norm, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel = [min(size, length) for size, length in zip(self.pool, x.shape[2:], strict=True)]
        pooled = F.max_pool3d(x, kernel).contiguous(memory_format=torch.channels_last_3d)
        queries, keys, values = (
            positions(y).flatten(1, 3) for y in (self.theta(x), self.phi(pooled), self.g(pooled))
        )
        if self.kind == "softmax":
            seen = F.scaled_dot_product_attention(queries, keys, values)
        else:
            seen = queries @ (keys.transpose(1, 2) @ (values / keys.shape[1]))
        seen = seen.unflatten(1, tuple(x.shape[2:]))
        return self.out(from_positions(seen)).add_(x)


PARTS: dict[type[nn.Module], Callable[..., nn.Module]] = {
    BasicBlock3d: FastBlock,
    Bottleneck3d: FastBlock,
    ConvStem: FastStem,
    PatchStem: FastPatchStem,
    TimeStridedConv: FastLateral,
    NonLocal3d: FastNonLocal,
}
