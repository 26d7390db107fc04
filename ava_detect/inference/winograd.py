"""Convolutions of three taps in fewer multiplications: Winograd's minimal filtering F(4, 3).

Along a line four outputs come from six products where the definition has twelve (Lavin and Gray,
"Fast algorithms for convolutional neural networks", 2016). Each step is a matrix product: a line is
mapped onto six values for each four of its positions, these are multiplied by six of the kernel,
and mapped back. Sums are rounded about twice as coarsely as a plain convolution's: right for
float32, too coarse for 16 bits.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import torch
from torch import Tensor

TAPS = 3
OUTPUTS = 4  # of a tile
PRODUCTS = OUTPUTS + TAPS - 1
POINTS = (1.0, -1.0, 0.5, -2.0, 0.0)
"""Where the polynomials of a tile are multiplied; infinity is the sixth. Halves and twos of
opposite signs round better than the usual 2 and -2."""
LONGEST = 48
"""Longer lines are not mapped: the work of the maps grows with their square."""
WORTHWHILE = 0.7
"""Up to this share of the products of the plain convolution it pays."""


class WinogradTime:
    """A convolution over three frames, padded by one at either end.

    ``weight`` f[3,C,out], ``bias`` f[out].
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    @cached_property
    def kernel(self) -> Tensor:
        """f[6,C,out]."""
        kernel = torch.einsum("pt,tco->pco", transforms()[0], self.weight.double())
        return kernel.to(self.weight.dtype).contiguous()

    def pays(self, length: int, _height: int, _width: int) -> bool:
        """Whether clips of that size take so few products as to make up for the maps."""
        return _num_products(length) <= WORTHWHILE * (TAPS * length - 2)

    def __call__(self, x: Tensor) -> Tensor:
        """f[B,T,H,W,C] -> f[B,T,H,W,out], contiguous."""
        batch, length, height, width, channels = x.shape
        gather, scatter = line_maps(length)
        values = gather.flatten(0, 1) @ x.flatten(2)  # [B,6*tiles,H*W*C]
        values = values.view(batch, PRODUCTS, -1, channels).transpose(0, 1)
        products = _multiply(values.reshape(PRODUCTS, -1, channels), self.kernel, self.bias)
        products = products.view(PRODUCTS, batch, gather.shape[1], -1).transpose(0, 1)
        y = scatter.flatten(1) @ products.reshape(batch, PRODUCTS * gather.shape[1], -1)
        return y.view(batch, length, height, width, -1)


class WinogradSpace:
    """A 3x3 convolution of frames, padded by its dilation.

    ``weight`` f[out,C,3,3], ``bias`` f[out].
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, dilation: int) -> None:
        self.weight, self.bias, self.dilation = weight, bias, dilation

    @cached_property
    def kernel(self) -> Tensor:
        """f[36,C,out]."""
        of_kernel = transforms()[0]
        kernel = torch.einsum("py,qx,ocyx->pqco", of_kernel, of_kernel, self.weight.double())
        return kernel.flatten(0, 1).to(self.weight.dtype).contiguous()

    def pays(self, _length: int, height: int, width: int) -> bool:
        """See ``WinogradTime.pays``."""
        products = _num_products(height, self.dilation) * _num_products(width, self.dilation)
        return max(height, width) <= LONGEST and products <= WORTHWHILE * TAPS**2 * height * width

    def __call__(self, x: Tensor) -> Tensor:
        """f[B,T,H,W,C] -> f[B,T,H,W,out], contiguous."""
        frames = x.flatten(0, 1)
        num, height, width, channels = frames.shape
        (rows, rows_back), (columns, columns_back) = (
            line_maps(size, self.dilation) for size in (height, width)
        )
        down, across = rows.shape[1], columns.shape[1]
        values = columns.flatten(0, 1) @ frames  # [N,H,6*across,C]
        values = rows.flatten(0, 1) @ values.flatten(2)  # [N,6*down,6*across*C]
        values = values.view(num, PRODUCTS, down, PRODUCTS, across, channels)
        values = values.permute(1, 3, 0, 2, 4, 5).reshape(PRODUCTS**2, -1, channels)
        products = _multiply(values, self.kernel, self.bias)
        products = products.view(PRODUCTS, PRODUCTS, num, down, across, -1)
        products = products.permute(2, 0, 3, 1, 4, 5).reshape(num, PRODUCTS * down, -1)
        y = rows_back.flatten(1) @ products  # [N,H,6*across*out]
        y = columns_back.flatten(1) @ y.view(num, height, PRODUCTS * across, -1)
        return y.view(*x.shape[:-1], -1)


Winograd = WinogradTime | WinogradSpace


def _multiply(values: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    products = values.bmm(kernel)
    if bias is not None:
        products[0].add_(bias)  # at the point 1, whose product is added to every output
    return products


@lru_cache(maxsize=256)
def line_maps(length: int, dilation: int = 1) -> tuple[Tensor, Tensor]:
    """A line's way to the products and back: f32[6,tiles,length], f32[length,6,tiles].

    A tile is four outputs, ``dilation`` apart; outside of the line is zero.
    """
    starts = _tiles(length, dilation)
    _, of_inputs, of_outputs = transforms()
    gather = torch.zeros(PRODUCTS, len(starts), length, dtype=torch.float64)
    scatter = torch.zeros(length, PRODUCTS, len(starts), dtype=torch.float64)
    for tile, start in enumerate(starts):
        for tap in range(PRODUCTS):
            position = start + dilation * (tap - 1)
            if 0 <= position < length:
                gather[:, tile, position] = of_inputs[:, tap]
        for output in range(OUTPUTS):
            position = start + dilation * output
            if position < length:
                scatter[position, :, tile] = of_outputs[output]
    return gather.float(), scatter.float()


def _tiles(length: int, dilation: int) -> list[int]:
    """The first position of each tile of a line."""
    return [
        start for phase in range(dilation) for start in range(phase, length, OUTPUTS * dilation)
    ]


def _num_products(length: int, dilation: int = 1) -> int:
    return PRODUCTS * len(_tiles(length, dilation))


@lru_cache(maxsize=1)
def transforms() -> tuple[Tensor, Tensor, Tensor]:
    """F(4, 3) by Toom and Cook: f64 of the kernel [6,3], of the inputs [6,6], of the outputs [4,6].

    outputs = of_outputs @ ((of_kernel @ kernel) * (of_inputs @ inputs)).
    """
    of_inputs = torch.linalg.inv(_values(PRODUCTS)).T
    return _values(TAPS), of_inputs, _values(OUTPUTS).T


def _values(size: int) -> Tensor:
    """What maps a polynomial's ``size`` coefficients onto its values at the points: f64[6,size]."""
    points = torch.tensor(POINTS, dtype=torch.float64)
    infinity = torch.eye(size, dtype=torch.float64)[-1:]
    return torch.cat([points[:, None] ** torch.arange(size), infinity])
