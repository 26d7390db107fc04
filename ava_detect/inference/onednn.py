"""Convolutions with what follows them in one call: torch's private way to oneDNN.

`torch.compile` calls the same operators. They may change with torch, so that nothing is lost where
they do: ``is_available`` tries them once, and who finds it False takes the public way.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

Sizes = tuple[int, ...]


class PackedConv2d:
    """A 2-D convolution whose weights are laid out for images of one size, and again for another.

    ``weight`` f[out,C,h,w] with channels last in memory, ``bias`` f[out].
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None, stride: Sizes, padding: Sizes, dilation: Sizes
    ) -> None:
        self.weight, self.bias = weight, bias
        self.stride, self.padding, self.dilation = map(list, (stride, padding, dilation))
        self._packed_for: tuple | None = None
        self._packed = weight

    def __call__(self, x: Tensor, relu: bool) -> Tensor:
        """The convolution of f[N,C,H,W], channels last, and its ReLU."""
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._pack(x), self.bias, self.padding, self.stride, self.dilation, 1,
            "relu" if relu else "none", [], "",
        )  # fmt: skip

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """The ReLU of ``y`` plus the convolution of ``x``, in the place of ``y``."""
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            y, x, self._pack(x), self.bias, self.padding, self.stride, self.dilation, 1,
            "add", 1.0, "relu", [], "",
        )  # fmt: skip

    def _pack(self, x: Tensor) -> Tensor:
        if (x.shape, x.dtype) != self._packed_for:
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, self.padding, self.stride, self.dilation, 1, list(x.shape)
            )
            self._packed_for = x.shape, x.dtype
        return self._packed


@cache
def is_available(dtype: torch.dtype) -> bool:
    """Whether these operators are there and compute on this processor what public ones do."""
    generator = torch.Generator().manual_seed(0)
    x, weight = (
        torch.randn(shape, generator=generator).to(dtype, memory_format=torch.channels_last)
        for shape in ((2, 16, 9, 8), (16, 16, 3, 3))
    )
    bias = torch.randn(16, generator=generator).to(dtype)
    try:
        packed = PackedConv2d(weight, bias, (1, 1), (1, 1), (1, 1))
        plain = F.conv2d(x.float(), weight.float(), bias.float(), padding=1)
        answers = [
            (packed(x, relu=False), plain),
            (packed(x, relu=True), plain.relu()),
            (packed.add_to(x.clone(), x), (plain + x.float()).relu()),
        ]
        tolerance = 0.05 * plain.abs().max()
        return all((got.float() - wanted).abs().max() < tolerance for got, wanted in answers)
    except Exception:  # whatever a private operator does on another torch or processor
        return False
