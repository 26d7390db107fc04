"""Convolutions over clips in the form that a processor likes best.

Clips are f[B,C,T,H,W] with channels last in memory, so that a clip is also a batch of images, and a
table with a row for each position: a kernel that sees no time is a 2-D convolution, one that sees
time alone is a matrix product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ava_detect.inference.onednn import PackedConv2d, is_available
from ava_detect.inference.winograd import Winograd, WinogradSpace, WinogradTime, is_supported

WIDE = 512  # input channels from which on a product for each frame of a kernel is quicker
NARROW = 8  # up to as many input channels several frames are computed at once
GROUP = 4  # so many


def positions(x: Tensor) -> Tensor:
    """f[B,C,T,H,W] -> f[B,T,H,W,C], contiguous: a view where channels are last in memory."""
    return x.permute(0, 2, 3, 4, 1).contiguous()


def from_positions(x: Tensor) -> Tensor:
    """f[B,T,H,W,C] -> f[B,C,T,H,W], channels last in memory."""
    return x.permute(0, 4, 1, 2, 3)


def as_images(x: Tensor) -> Tensor:
    """f[B,C,T,H,W] -> f[B*T,C,H,W], channels last in memory: its frames."""
    return positions(x).flatten(0, 1).permute(0, 3, 1, 2)


def as_clips(images: Tensor, num_clips: int) -> Tensor:
    """f[B*T,C,H,W] -> f[B,C,T,H,W], channels last in memory."""
    return from_positions(images.permute(0, 2, 3, 1).unflatten(0, (num_clips, -1)))


class FoldedConv(nn.Module):
    """A convolution with the batch norm behind it folded in, and a ReLU if there is one.

    ``forward`` takes and gives clips; what it is given is cast to the type of the weights.
    """

    def __init__(self, conv: nn.Conv3d, norm: nn.BatchNorm3d | None, relu: bool) -> None:
        super().__init__()
        weight, bias = conv.weight, conv.bias
        if norm is not None:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            weight, bias = fuse_conv_bn_weights(
                weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
        weight = weight.detach()
        out_channels, in_channels, time, *space = weight.shape
        self.stride, self.dilation = conv.stride, conv.dilation
        self.padding = tuple(map(int, conv.padding))
        self.relu, self.time, self.out_channels = relu, time, out_channels
        steady = self.stride[0] == self.dilation[0] == 1  # no frame is left out
        if time == 1 and steady:
            self.way, weight, layout = "images", weight[:, :, 0], torch.channels_last
        elif space == [1, 1] and self.stride == (1, 1, 1) and in_channels >= WIDE:
            self.way, weight = "products", weight[..., 0, 0].permute(2, 1, 0)
            layout = torch.contiguous_format
        elif steady and in_channels <= NARROW:
            self.way, weight, layout = "groups", _banded(weight), torch.channels_last
        else:
            self.way, layout = "clips", torch.channels_last_3d
        self.weight = nn.Parameter(weight.contiguous(memory_format=layout), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self._packed: PackedConv2d | None = None
        self._winograd: Winograd | None = None
        self._winograd_of: Tensor | None = None

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """f[B,C,T,H,W] -> f[B,out,T/stride,H/stride,W/stride].

        It is added to ``onto`` before the ReLU; the memory of ``onto`` may become the answer's.
        """
        x = x.to(self.weight.dtype)
        winograd = self._winograd_for(x)
        if winograd is not None:
            y = from_positions(winograd(positions(x)))
        elif self.way == "images" and self._packed_for(x) is not None:
            return self._as_packed_images(x, onto)
        else:
            y = getattr(self, f"_as_{self.way}")(x)
        y = y if onto is None else y.add_(onto)
        return y.relu_() if self.relu else y

    def _winograd_for(self, x: Tensor) -> Winograd | None:
        """The convolution of fewer products where there is one for such a clip."""
        if not is_supported(x):
            return None
        if self._winograd_of is not self.weight:
            self._winograd, self._winograd_of = self._as_winograd(), self.weight
        pays = self._winograd is not None and self._winograd.pays(x.shape[0], *x.shape[2:])
        return self._winograd if pays else None

    def _as_winograd(self) -> Winograd | None:
        if self.way == "products" and self.time == 3:
            return WinogradTime(self.weight, self.bias)
        sizes = self.stride[1:], self.padding[1:], self.dilation[1:]
        if self.way == "images" and WinogradSpace.fits(self.weight, *sizes):
            return WinogradSpace(self.weight, self.bias, self.dilation[1])
        return None

    def _packed_for(self, x: Tensor) -> PackedConv2d | None:
        """The quicker convolution where there is one for such a tensor."""
        if x.device.type != "cpu" or torch.compiler.is_compiling() or not is_available(x.dtype):
            return None
        if self._packed is None or self._packed.weight is not self.weight:
            self._packed = PackedConv2d(
                self.weight, self.bias, self.stride[1:], self.padding[1:], self.dilation[1:]
            )
        return self._packed

    def _as_packed_images(self, x: Tensor, onto: Tensor | None) -> Tensor:
        packed, images = self._packed_for(x), as_images(x)
        assert packed is not None
        if onto is None:
            return as_clips(packed(images, self.relu), len(x))
        return as_clips(packed.add_to(as_images(onto), images), len(x))

    def _as_images(self, x: Tensor) -> Tensor:
        """A kernel that sees no time: all frames are one batch of images."""
        y = F.conv2d(
            as_images(x), self.weight, self.bias,
            self.stride[1:], self.padding[1:], self.dilation[1:],
        )  # fmt: skip
        return as_clips(y, len(x))

    def _as_clips(self, x: Tensor) -> Tensor:
        return F.conv3d(x, self.weight, self.bias, self.stride, self.padding, self.dilation)

    def _as_products(self, x: Tensor) -> Tensor:
        """A kernel that sees time alone, as the sum of a matrix product for each of its frames."""
        rows = positions(x).flatten(2, 3)  # [B,T,H*W,C]
        shape = (*rows.shape[:3], self.out_channels)
        middle = self.time // 2
        y = F.linear(rows, self.weight[middle].t(), self.bias)
        length = rows.shape[1]
        for frame in range(self.time):
            shift = frame - middle
            if shift == 0 or abs(shift) >= length:
                continue
            given = rows[:, max(0, shift) : length + min(0, shift)]
            taken = y[:, max(0, -shift) : length - max(0, shift)]
            for clip in range(x.shape[0]):
                taken[clip].flatten(0, 1).addmm_(given[clip].flatten(0, 1), self.weight[frame])
        return from_positions(y.view(shape).unflatten(2, tuple(x.shape[3:])))

    def _as_groups(self, x: Tensor) -> Tensor:
        """Few channels: as images of several frames each, from which several are computed."""
        length = x.shape[2]
        after = -length % GROUP + self.time - 1 - self.padding[0]
        padded = F.pad(positions(x), (0, 0, 0, 0, 0, 0, self.padding[0], after))
        windows = padded.unfold(1, GROUP + self.time - 1, GROUP)  # [B,T/GROUP,H,W,C,frames]
        images = windows.transpose(4, 5).flatten(4).flatten(0, 1).permute(0, 3, 1, 2)
        images = images.contiguous(memory_format=torch.channels_last)
        bias = None if self.bias is None else self.bias.repeat(GROUP)
        y = F.conv2d(
            images, self.weight, bias, self.stride[1:], self.padding[1:], self.dilation[1:]
        )
        y = y.permute(0, 2, 3, 1).unflatten(3, (GROUP, self.out_channels))  # [B*T/G,H,W,G,out]
        y = y.permute(0, 3, 1, 2, 4).unflatten(0, (x.shape[0], -1)).flatten(1, 2)
        return from_positions(y[:, :length].contiguous())


def _banded(weight: Tensor, group: int = GROUP) -> Tensor:
    """The kernel f[out,C,t,h,w] of a group of frames: f[group*out,(group+t-1)*C,h,w]."""
    out_channels, channels, time, height, width = weight.shape
    band = weight.new_zeros(group, out_channels, group + time - 1, channels, height, width)
    for frame in range(group):
        band[frame, :, frame : frame + time] = weight.transpose(1, 2)
    return band.flatten(2, 3).flatten(0, 1)
