"""Residual stages of 3-D convolutions: the parts that both SlowFast pathways are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from ava_detect.models.nonlocal_block import NonLocal3d


class ConvNorm(nn.Module):
    """Convolution without bias, then batch normalisation (eps 1e-5, momentum 0.1).

    ``kernel`` is (time, space), ``stride`` and ``dilation`` act in space only. Zero padding keeps
    the size, divided by the stride and rounded up.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        time, space = kernel
        pad = dilation * (space // 2)
        self.conv = nn.Conv3d(
            in_channels,
            out_channels,
            kernel_size=(time, space, space),
            stride=(1, stride, stride),
            padding=(time // 2, pad, pad),
            dilation=(1, dilation, dilation),
            bias=False,
        )
        self.norm = nn.BatchNorm3d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """f[B,C,T,H,W] -> f[B,out,T,ceil(H/stride),ceil(W/stride)]."""
        return self.norm(self.conv(x))


class BasicBlock3d(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016); the first one also sees time."""

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        inner_channels: int,
        temporal_kernel: int,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.a = ConvNorm(in_channels, inner_channels, (temporal_kernel, 3), stride, dilation)
        self.b = ConvNorm(inner_channels, inner_channels, (1, 3), 1, dilation)
        self.shortcut = _shortcut(in_channels, inner_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """f[B,C,T,H,W] -> f[B,inner,T,H/stride,W/stride]."""
        y = self.b(F.relu(self.a(x), inplace=True))
        return F.relu(y.add_(self.shortcut(x)), inplace=True)


class Bottleneck3d(nn.Module):
    """1x1 reduction (which also sees time), 3x3, 1x1 expansion by four, and a shortcut.

    The stride sits in the 3x3 convolution, as in the published SlowFast weights.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        inner_channels: int,
        temporal_kernel: int,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        out_channels = inner_channels * self.expansion
        self.a = ConvNorm(in_channels, inner_channels, (temporal_kernel, 1))
        self.b = ConvNorm(inner_channels, inner_channels, (1, 3), stride, dilation)
        self.c = ConvNorm(inner_channels, out_channels, (1, 1))
        self.shortcut = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """f[B,C,T,H,W] -> f[B,4*inner,T,H/stride,W/stride]."""
        y = F.relu(self.a(x), inplace=True)
        y = self.c(F.relu(self.b(y), inplace=True))
        return F.relu(y.add_(self.shortcut(x)), inplace=True)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    return ConvNorm(in_channels, out_channels, (1, 1), stride)


BLOCKS: dict[str, type[BasicBlock3d] | type[Bottleneck3d]] = {
    "basic": BasicBlock3d,
    "bottleneck": Bottleneck3d,
}


def build_stage(
    block: str,
    in_channels: int,
    inner_channels: int,
    depth: int,
    temporal_kernel: int,
    stride: int = 1,
    dilation: int = 1,
    temporal_depth: int | None = None,
    extras: Mapping[int, Callable[[int], nn.Module]] | None = None,
) -> nn.Sequential:
    """``depth`` residual blocks; the first one changes the channels and takes the stride.

    Only the first ``temporal_depth`` blocks see time where it is given. ``extras[b]`` builds, from
    a number of channels, what follows block b; it is called ``{b}_nonlocal``.
    """
    make = BLOCKS[block]
    out_channels = inner_channels * make.expansion
    stage = nn.Sequential()
    for b in range(depth):
        inputs, step = (in_channels, stride) if b == 0 else (out_channels, 1)
        kernel = temporal_kernel if temporal_depth is None or b < temporal_depth else 1
        stage.add_module(str(b), make(inputs, inner_channels, kernel, step, dilation))
        if extras and b in extras:
            stage.add_module(f"{b}_nonlocal", extras[b](out_channels))
    return stage


def init_residual(module: nn.Module, zero_init: bool) -> None:
    """He initialisation of every convolution (fan out); batch norms start as the identity.

    ``zero_init``: the last batch norm of each block starts at zero, so that a block begins as its
    shortcut (Goyal et al. 2017); it steadies long runs and slows down very short ones. Non-local
    blocks always begin so, since they are added to trained models (Wang et al. 2018).
    """
    for part in module.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm3d):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
    for part in module.modules():
        if isinstance(part, NonLocal3d):
            nn.init.zeros_(part.norm.weight)
        elif zero_init and isinstance(part, BasicBlock3d | Bottleneck3d):
            last = part.b if isinstance(part, BasicBlock3d) else part.c
            nn.init.zeros_(last.norm.weight)
