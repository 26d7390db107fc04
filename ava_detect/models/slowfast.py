"""SlowFast backbone: two pathways over one clip at two frame rates (Feichtenhofer et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ava_detect.models.resnet3d import BLOCKS, ConvNorm, build_stage, init_residual

SLOW_STEM_KERNEL, FAST_STEM_KERNEL = 1, 5  # in frames


class ConvStem(nn.Module):
    """7x7 convolution of stride 2, ReLU and 3x3 max-pool of stride 2."""

    stride = 4

    def __init__(self, out_channels: int, temporal_kernel: int) -> None:
        super().__init__()
        self.layer = ConvNorm(3, out_channels, (temporal_kernel, 7), stride=2)

    def forward(self, frames: Tensor) -> Tensor:
        """f[B,3,T,H,W] -> f[B,out,T,ceil(H/4),ceil(W/4)]."""
        x = F.relu(self.layer(frames), inplace=True)
        return F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))


class PatchStem(nn.Module):
    """4x4 pixel patches become 48 channels, then a 3x3 convolution and ReLU; cheap on a CPU."""

    stride = 4

    def __init__(self, out_channels: int, temporal_kernel: int) -> None:
        super().__init__()
        self.layer = ConvNorm(3 * self.stride**2, out_channels, (temporal_kernel, 3))

    def forward(self, frames: Tensor) -> Tensor:
        """f[B,3,T,H,W] -> f[B,out,T,ceil(H/4),ceil(W/4)]."""
        return F.relu(self.layer(space_to_depth(frames, self.stride)), inplace=True)


def space_to_depth(frames: Tensor, patch: int) -> Tensor:
    """[B,C,T,H,W] -> channels-last [B,patch*patch*C,T,H/patch,W/patch]; zeros fill up the edge."""
    height, width = frames.shape[-2:]
    if height % patch or width % patch:
        frames = F.pad(frames, (0, -width % patch, 0, -height % patch))
    x = frames.permute(0, 2, 3, 4, 1)
    x = x.unflatten(3, (-1, patch)).unflatten(2, (-1, patch)).transpose(3, 4)
    return x.flatten(4).permute(0, 4, 1, 2, 3)


STEMS: dict[str, type[ConvStem] | type[PatchStem]] = {
    "conv7": ConvStem,
    "space_to_depth": PatchStem,
}


class TimeStridedConv(nn.Module):
    """Lateral connection Fast -> Slow: a convolution over time with stride alpha, concatenated.

    It doubles the channels of the Fast pathway ("T-conv", paper section 3.3 and table 5a).
    """

    def __init__(self, fast_channels: int, alpha: int, kernel: int) -> None:
        super().__init__()
        self.extra_channels = 2 * fast_channels
        self.conv = nn.Conv3d(
            fast_channels,
            self.extra_channels,
            kernel_size=(kernel, 1, 1),
            stride=(alpha, 1, 1),
            padding=(kernel // 2, 0, 0),
            bias=False,
        )
        self.norm = nn.BatchNorm3d(self.extra_channels)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """f[B,Cs,ceil(T/alpha),H,W], f[B,Cf,T,H,W] -> f[B,Cs+2*Cf,ceil(T/alpha),H,W]."""
        return torch.cat([slow, F.relu(self.norm(self.conv(fast)), inplace=True)], dim=1)


LATERALS: dict[str, type[TimeStridedConv]] = {"time_strided_conv": TimeStridedConv}


class Pathway(nn.Module):
    """A stem and the residual stages res2..res5.

    ``extra_channels[s]`` is what a lateral connection adds to the input of stage s.
    """

    def __init__(
        self,
        *,
        block: str,
        depths: Sequence[int],
        widths: Sequence[int],
        temporal_kernels: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        stem: str,
        stem_width: int,
        stem_kernel: int,
        extra_channels: Sequence[int],
    ) -> None:
        super().__init__()
        self.stem = STEMS[stem](stem_width, stem_kernel)
        self.stride = self.stem.stride * math.prod(strides)
        self.stages = nn.ModuleList()
        channels = stem_width
        table = zip(
            extra_channels, widths, depths, temporal_kernels, strides, dilations, strict=True
        )
        for extra, width, depth, kernel, stride, dilation in table:
            inputs = channels + extra
            self.stages.append(build_stage(block, inputs, width, depth, kernel, stride, dilation))
            channels = width * BLOCKS[block].expansion
        self.out_channels = channels


class SlowFast(nn.Module):
    """Slow and Fast pathway with lateral connections, or either pathway alone.

    Defaults are the detector of the paper on ResNet-50 (sections 3 and 5). ``widths`` are the
    inner widths of the Slow stages res2..res5; the Fast ones are 1/``beta_inv`` of them, rounded
    up (which meets the multiply-adds of table 5b where the division leaves a rest). The Slow
    pathway sees every ``alpha``-th frame, taken inside. ``strides`` are those of res2..res4; res5
    has stride 1 and dilation 2 for detection, 2 and 1 for classification. ``fusion_kernel``, in
    frames: 5 in the paper, 7 in the published ResNet-50 weights.

    ``out_channels`` has one entry a pathway (Slow first), ``stride`` is pixels per feature cell.
    """

    def __init__(
        self,
        *,
        pathways: Literal["slowfast", "slow", "fast"] = "slowfast",
        block: Literal["bottleneck", "basic"] = "bottleneck",
        depths: Sequence[int] = (3, 4, 6, 3),
        widths: Sequence[int] = (64, 128, 256, 512),
        alpha: int = 8,
        beta_inv: int = 8,
        lateral: Literal["time_strided_conv"] = "time_strided_conv",
        fusion_kernel: int = 7,
        slow_temporal: Sequence[int] = (1, 1, 3, 3),
        fast_temporal: Sequence[int] = (3, 3, 3, 3),
        stem: Literal["conv7", "space_to_depth"] = "conv7",
        stem_width: int | None = None,
        strides: Sequence[int] = (1, 2, 2),
        res5_stride: int = 1,
        res5_dilation: int = 2,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        slow_widths = [stem_width or widths[0], *widths]  # of the stem, then inside res2..res5
        fast_widths = [-(-width // beta_inv) for width in slow_widths]
        common: dict[str, Any] = {
            "block": block,
            "depths": depths,
            "strides": (*strides, res5_stride),
            "dilations": (1, 1, 1, res5_dilation),
            "stem": stem,
        }
        self.alpha = alpha
        self.slow = self.fast = self.laterals = None
        extra_channels = [0, 0, 0, 0]
        if pathways == "slowfast":
            expansion = BLOCKS[block].expansion
            joins = [fast_widths[0], *(width * expansion for width in fast_widths[1:4])]
            make = LATERALS[lateral]
            laterals = [make(width, alpha, fusion_kernel) for width in joins]
            self.laterals = nn.ModuleList(laterals)
            extra_channels = [join.extra_channels for join in laterals]
        if pathways != "fast":
            self.slow = Pathway(
                stem_width=slow_widths[0],
                widths=slow_widths[1:],
                stem_kernel=SLOW_STEM_KERNEL,
                temporal_kernels=slow_temporal,
                extra_channels=extra_channels,
                **common,
            )
        if pathways != "slow":
            self.fast = Pathway(
                stem_width=fast_widths[0],
                widths=fast_widths[1:],
                stem_kernel=FAST_STEM_KERNEL,
                temporal_kernels=fast_temporal,
                extra_channels=[0, 0, 0, 0],
                **common,
            )
        paths = [path for path in (self.slow, self.fast) if path is not None]
        self.out_channels = [path.out_channels for path in paths]
        self.stride = paths[0].stride
        init_residual(self, zero_init)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Normalised frames f[B,3,T,H,W] -> a feature f[B,C,T',H/stride,W/stride] per pathway.

        T' is ceil(T/alpha) for the Slow pathway, T for the Fast one. Any T, H and W; what the
        strides do not divide is rounded up.
        """
        slow = fast = None
        if self.slow is not None:
            slow = self.slow.stem(take_slow_frames(frames, self.alpha))
        if self.fast is not None:
            fast = self.fast.stem(frames)
        for stage in range(4):
            if self.laterals is not None:
                slow = self.laterals[stage](slow, fast)
            if self.slow is not None:
                slow = self.slow.stages[stage](slow)
            if self.fast is not None:
                fast = self.fast.stages[stage](fast)
        return [feature for feature in (slow, fast) if feature is not None]


def slow_frame_indices(num_frames: int, alpha: int) -> list[int]:
    """Frames of the Slow pathway: evenly spread from the first to the last, as in PySlowFast.

    32 frames and alpha 4 give 0, 4, 8, 13, 17, 22, 26, 31. Where alpha does not divide
    ``num_frames`` their number is rounded up, as it is in the lateral connections.
    """
    count = -(-num_frames // alpha)
    return torch.linspace(0, num_frames - 1, count, device="cpu").long().tolist()


def take_slow_frames(frames: Tensor, alpha: int) -> Tensor:
    """f[B,C,T,H,W] -> f[B,C,ceil(T/alpha),H,W], channels last in memory."""
    indices = torch.tensor(slow_frame_indices(frames.shape[2], alpha), device=frames.device)
    # index_select answers in row-major order, so select where the channels already are last
    return frames.permute(0, 2, 3, 4, 1).index_select(1, indices).permute(0, 4, 1, 2, 3)
