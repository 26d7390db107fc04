"""Backbone of the demo world's person detectors."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SmallBackbone(nn.Module):
    """Residual network of four stages with a top-down path (FPN) that ends at stride 8.

    ``forward(f32[B,3,H,W])`` returns one level, ``{"stride8": f32[B,64,H/8,W/8]}``: people of the
    demo world span a factor of three in size, which the anchors of one level cover. H and W are
    multiples of ``stride_of_top``.
    """

    out_channels = 64
    stride_of_top = 32

    def __init__(self) -> None:
        super().__init__()
        self.stride4 = nn.Sequential(_conv(3 * 4 * 4, 32), _Residual(32))
        self.stride8 = nn.Sequential(_conv(32, 64, stride=2), _Residual(64))
        self.stride16 = nn.Sequential(_conv(64, 96, stride=2), _Residual(96))
        self.stride32 = nn.Sequential(_conv(96, 128, stride=2), _Residual(128))
        self.lateral = nn.ModuleList(nn.Conv2d(c, self.out_channels, 1) for c in (64, 96, 128))
        self.output = _conv(self.out_channels, self.out_channels)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        patches = F.pixel_unshuffle(images, 4).contiguous(memory_format=torch.channels_last)
        stride8 = self.stride8(self.stride4(patches))
        stride16 = self.stride16(stride8)
        top = self.lateral[2](self.stride32(stride16))
        top = self.lateral[1](stride16) + F.interpolate(top, scale_factor=2.0)
        top = self.lateral[0](stride8) + F.interpolate(top, scale_factor=2.0)
        return OrderedDict(stride8=self.output(top))


class _Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
