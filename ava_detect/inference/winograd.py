"""Convolutions of three taps in fewer multiplications: Winograd's minimal filtering F(4, 3).

Along a line four outputs come from six products where the definition has twelve (Lavin and Gray,
"Fast algorithms for convolutional neural networks", 2016). Each step is a matrix product: a line is
mapped onto six values for each four of its positions, these are multiplied by six of the kernel,
and mapped back. Sums are rounded about twice as coarsely as a plain convolution's: right for
float32, too coarse for 16 bits. A number that is not finite spoils its whole line, not its
neighbours alone. What is made of the weights is kept, so that these may not be changed in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

Pair = tuple[int, ...]  # down, across

TAPS = 3
OUTPUTS = 4  # of a tile
PRODUCTS = OUTPUTS + TAPS - 1
POINTS = (1.0, -1.0, 0.5, -2.0, 0.0)
"""Where the polynomials of a tile are multiplied; infinity is the sixth. Halves and twos of
opposite signs round better than the usual 2 and -2."""
WORTHWHILE = 0.7
"""Up to this share of the products of the plain convolution it pays, ..."""
FEWEST_ROWS = 64
"""... if a matrix product has so many rows at least: for fewer the kernel is read in vain, ..."""
FEWEST_CHANNELS = 256
"""... and a 3x3 convolution so many input and output channels."""
LONGEST_CLIP = 16
"""Frames of a clip that are mapped at once, since the work of the maps grows with their square."""
LONGEST_SIDE = 48
"""The same for the sides of a frame; a larger one is cut into blocks ..."""
BLOCK = 20
"""... of up to this height and width, ..."""
BLOCKS_AT_ONCE = 8
"""... so many of which fit into a cache."""
ROWS_AT_ONCE = 2048
"""Of a matrix product, to bound the memory that many small frames take."""


def is_supported(x: Tensor) -> bool:
    """Whether a tensor can be convolved so: float32 on a CPU, and computed now, not traced."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class WinogradTime:
    """A convolution over three frames, padded by one at either end.

    ``weight`` f[3,C,out], ``bias`` f[out].
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias

    @cached_property
    def kernel(self) -> Tensor:
        """f[6,C,out]."""
        with plain_tensors():
            kernel = torch.einsum("pt,tco->pco", transforms()[0], self.weight.double())
            return kernel.to(self.weight.dtype).contiguous()

    def pays(self, batch: int, length: int, height: int, width: int) -> bool:
        """Whether such clips take so few products as to make up for the maps."""
        products = PRODUCTS * len(_tiles(length, 1))
        rows = batch * height * width * len(_tiles(length, 1))
        return (
            length <= LONGEST_CLIP
            and rows >= FEWEST_ROWS
            and products <= WORTHWHILE * (TAPS * length - 2)
        )

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

    @staticmethod
    def fits(weight: Tensor, stride: Pair, padding: Pair | str, dilation: Pair) -> bool:
        """Whether a convolution by ``weight`` f[out,C,h,w] is one of these, and wide enough."""
        return (
            weight.shape[2:] == (TAPS, TAPS)
            and min(weight.shape[:2]) >= FEWEST_CHANNELS
            and stride == (1, 1)
            and padding == dilation
            and dilation[0] == dilation[1]
        )

    @cached_property
    def kernel(self) -> Tensor:
        """f[36,C,out]."""
        with plain_tensors():
            of_kernel = transforms()[0]
            kernel = torch.einsum("py,qx,ocyx->pqco", of_kernel, of_kernel, self.weight.double())
            return kernel.flatten(0, 1).to(self.weight.dtype).contiguous()

    def pays(self, batch: int, length: int, height: int, width: int) -> bool:
        """See ``WinogradTime.pays``."""
        if max(height, width) > LONGEST_SIDE and self.dilation > 1:
            return False
        tiles = self._num_tiles(height, width)
        enough = batch * length * tiles >= FEWEST_ROWS
        return enough and PRODUCTS**2 * tiles <= WORTHWHILE * TAPS**2 * height * width

    def _num_tiles(self, height: int, width: int) -> int:
        return len(_tiles(height, self.dilation)) * len(_tiles(width, self.dilation))

    def __call__(self, x: Tensor) -> Tensor:
        """f[...,H,W,C] -> f[...,H,W,out], contiguous."""
        frames = x.flatten(0, -4)
        height, width = x.shape[-3:-1]
        at_once = max(1, ROWS_AT_ONCE // self._num_tiles(height, width))
        if max(height, width) > LONGEST_SIDE:
            y = self._by_blocks(frames)
        elif len(frames) <= at_once:
            y = self._convolve(frames)
        else:
            y = frames.new_empty(*frames.shape[:3], self.kernel.shape[2])
            for some, answer in zip(frames.split(at_once), y.split(at_once), strict=True):
                answer.copy_(self._convolve(some))
        return y.reshape(*x.shape[:-1], -1)

    def _by_blocks(self, frames: Tensor) -> Tensor:
        """f[N,H,W,C] -> f[N,H,W,out]."""
        num, height, width = frames.shape[:3]
        (down, tall), (across, wide) = map(_blocks, (height, width))
        y = frames.new_empty(num, down, tall, across, wide, self.kernel.shape[2])
        edge = (0, 0, 1, 1 + across * wide - width, 1, 1 + down * tall - height)
        step = max(1, BLOCKS_AT_ONCE // across)  # rows of blocks
        for frame, answer in zip(frames, y, strict=True):
            blocks = F.pad(frame, edge).unfold(0, tall + 2, tall).unfold(1, wide + 2, wide)
            blocks = blocks.permute(0, 1, 3, 4, 2)  # [down,across,tall+2,wide+2,C]
            for first in range(0, down, step):
                some = blocks[first : first + step]
                got = self._convolve(some.flatten(0, 1).contiguous(), halo=1)
                answer[first : first + step] = got.unflatten(0, some.shape[:2]).transpose(1, 2)
        return y.flatten(3, 4).flatten(1, 2)[:, :height, :width]

    def _convolve(self, frames: Tensor, halo: int = 0) -> Tensor:
        """f[N,H+2*halo,W+2*halo,C] -> f[N,H,W,out]; the halo stands in place of the padding."""
        num, channels = frames.shape[0], frames.shape[3]
        height, width = (size - 2 * halo for size in frames.shape[1:3])
        (rows, rows_back), (columns, columns_back) = (
            line_maps(size, self.dilation, halo) for size in (height, width)
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
        return columns_back.flatten(1) @ y.view(num, height, PRODUCTS * across, -1)


def _blocks(length: int) -> tuple[int, int]:
    """How many blocks a line is cut into, and their length in whole tiles."""
    number = -(-length // BLOCK)
    return number, -(-length // (number * OUTPUTS)) * OUTPUTS


Winograd = WinogradTime | WinogradSpace


def _multiply(values: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    products = values.bmm(kernel)
    if bias is not None:
        products[0].add_(bias)  # at the point 1, whose product is added to every output
    return products


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Make tensors that may be kept: of use to autograd, too, whoever asks for them first."""
    with torch.inference_mode(False), torch.no_grad():
        yield


@lru_cache(maxsize=256)
@plain_tensors()
def line_maps(length: int, dilation: int = 1, halo: int = 0) -> tuple[Tensor, Tensor]:
    """A line's way to the products and back: f32[6,tiles,length+2*halo], f32[length,6,tiles].

    A tile is four outputs, ``dilation`` apart. Outside of the line and its halo is zero.
    """
    starts = _tiles(length, dilation)
    _, of_inputs, of_outputs = transforms()
    gather = torch.zeros(PRODUCTS, len(starts), length + 2 * halo, dtype=torch.float64)
    scatter = torch.zeros(length, PRODUCTS, len(starts), dtype=torch.float64)
    for tile, start in enumerate(starts):
        for tap in range(PRODUCTS):
            position = start + dilation * (tap - 1) + halo
            if 0 <= position < length + 2 * halo:
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


@lru_cache(maxsize=1)
@plain_tensors()
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
