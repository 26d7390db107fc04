"""SlowFast backbone: two pathways over one clip at two frame rates (Feichtenhofer et al. 2019)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ava_detect.models.fast_input import FAST_INPUTS
from ava_detect.models.laterals import build_lateral
from ava_detect.models.nonlocal_block import NonLocal3d
from ava_detect.models.resnet3d import BLOCKS, ConvNorm, build_stage, init_residual
from ava_detect.models.sampling import SLOW_SAMPLING, take_frames

SLOW_STEM_KERNEL, FAST_STEM_KERNEL = 1, 5  # in frames


class ConvStem(nn.Module):
    """7x7 convolution of stride 2, ReLU and 3x3 max-pool of stride 2."""

    stride = 4

    def __init__(self, in_channels: int, out_channels: int, temporal_kernel: int) -> None:
        super().__init__()
        self.layer = ConvNorm(in_channels, out_channels, (temporal_kernel, 7), stride=2)

    def forward(self, frames: Tensor) -> Tensor:
        """f[B,in,T,H,W] -> f[B,out,T,ceil(H/4),ceil(W/4)]."""
        x = F.relu(self.layer(frames), inplace=True)
        return F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))


class PatchStem(nn.Module):
    """4x4 pixel patches become channels, then a 3x3 convolution and ReLU; cheap on a CPU."""

    stride = 4

    def __init__(self, in_channels: int, out_channels: int, temporal_kernel: int) -> None:
        super().__init__()
        patch_channels = in_channels * self.stride**2
        self.layer = ConvNorm(patch_channels, out_channels, (temporal_kernel, 3))

    def forward(self, frames: Tensor) -> Tensor:
        """f[B,in,T,H,W] -> f[B,out,T,ceil(H/4),ceil(W/4)]."""
        return F.relu(self.layer(space_to_depth(frames, self.stride)), inplace=True)


def space_to_depth(frames: Tensor, patch: int) -> Tensor:
    """[B,C,T,H,W] -> channels-last [B,patch*patch*C,T,H/patch,W/patch]; zeros fill up the edge."""
    height, width = frames.shape[-2:]
    # an exported model takes every size, so it may not ask for one
    if torch.compiler.is_exporting() or height % patch or width % patch:
        frames = F.pad(frames, (0, -width % patch, 0, -height % patch))
    x = frames.permute(0, 2, 3, 4, 1)
    x = x.unflatten(3, (-1, patch)).unflatten(2, (-1, patch)).transpose(3, 4)
    return x.flatten(4).permute(0, 4, 1, 2, 3)


STEMS: dict[str, type[ConvStem] | type[PatchStem]] = {
    "conv7": ConvStem,
    "space_to_depth": PatchStem,
}


class Pathway(nn.Module):
    """A stem and the residual stages res2..res5, each table with one entry a stage.

    ``extra_channels``: what a lateral connection adds to the stage's input. ``extras``: what
    follows single blocks (see ``build_stage``).
    """

    def __init__(
        self,
        *,
        block: str,
        depths: Sequence[int],
        widths: Sequence[int],
        temporal_kernels: Sequence[int],
        temporal_depths: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        stem: str,
        stem_width: int,
        stem_kernel: int,
        in_channels: int,
        extra_channels: Sequence[int],
        extras: Sequence[Mapping[int, Callable[[int], nn.Module]]] = ({}, {}, {}, {}),
    ) -> None:
        super().__init__()
        self.stem = STEMS[stem](in_channels, stem_width, stem_kernel)
        self.stride = self.stem.stride * math.prod(strides)
        self.stages = nn.ModuleList()
        channels = stem_width
        for s in range(4):
            stage = build_stage(
                block,
                channels + extra_channels[s],
                widths[s],
                depths[s],
                temporal_kernels[s],
                strides[s],
                dilations[s],
                temporal_depths[s],
                extras[s],
            )
            self.stages.append(stage)
            channels = widths[s] * BLOCKS[block].expansion
        self.out_channels = channels


class SlowFast(nn.Module):
    """Slow and Fast pathway with lateral connections, or either pathway alone.

    Defaults are the detector of the paper on ResNet-50 (sections 3 and 5). ``widths`` are the
    inner widths of the Slow stages res2..res5; the Fast ones are 1/``beta_inv`` of them, rounded
    up (which meets the multiply-adds of table 5b where the division leaves a rest). The Slow
    pathway sees every ``alpha``-th frame, taken inside; ``slow_sampling`` says which. ``strides``
    are those of res2..res4; res5 has stride 1 and dilation 2 for detection, 2 and 1 for
    classification. ``fusion_kernel``, in frames, and ``fusion_norm`` are those of
    ``time_strided_conv``: 5 in the paper, 7 in the published ResNet-50 weights.

    ``temporal_depths``: blocks of each stage that see time, from the first on; None is all (the
    published ResNet-101 has 6 of the 23 of res4); Fast ones may have their own.
    ``nonlocal_blocks``: blocks of each Slow stage that a non-local block follows; its
    ``nonlocal_kind`` and ``nonlocal_pool`` are those of ``NonLocal3d``.
    ``fast_input``: what the Fast pathway sees of the frames, see ``fast_input.py``.

    ``out_channels`` and ``strides`` (pixels of the clip per feature cell) have one entry a pathway,
    Slow first. Raises ValueError where the lateral connection does not fit alpha and beta.
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
        slow_sampling: Literal["spread", "strided"] = "spread",
        fast_input: str = "rgb",
        lateral: str = "time_strided_conv",
        fusion_kernel: int = 7,
        fusion_norm: bool = True,
        slow_temporal: Sequence[int] = (1, 1, 3, 3),
        fast_temporal: Sequence[int] = (3, 3, 3, 3),
        temporal_depths: Sequence[int] | None = None,
        fast_temporal_depths: Sequence[int] | None = None,
        nonlocal_blocks: Sequence[Sequence[int]] = ((), (), (), ()),
        nonlocal_kind: Literal["dot_product", "softmax"] = "dot_product",
        nonlocal_pool: Sequence[int] = (1, 2, 2),
        stem: Literal["conv7", "space_to_depth"] = "conv7",
        strides: Sequence[int] = (1, 2, 2),
        res5_stride: int = 1,
        res5_dilation: int = 2,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        expansion = BLOCKS[block].expansion
        fast_widths = [-(-width // beta_inv) for width in widths]
        common: dict[str, Any] = {
            "block": block,
            "depths": depths,
            "strides": (*strides, res5_stride),
            "dilations": (1, 1, 1, res5_dilation),
            "stem": stem,
        }
        for name, table in (
            ("temporal_depths", temporal_depths),
            ("fast_temporal_depths", fast_temporal_depths),
        ):
            if table and any(seeing > depth for seeing, depth in zip(table, depths, strict=True)):
                raise ValueError(f"{name}: {tuple(table)} is more than depths, {tuple(depths)}")
        for depth, blocks in zip(depths, nonlocal_blocks, strict=True):
            if any(b >= depth for b in blocks):
                raise ValueError(f"nonlocal_blocks: a stage of {depth} blocks has no {max(blocks)}")
        if pathways == "fast" and any(nonlocal_blocks):
            raise ValueError("nonlocal_blocks: the Fast pathway has none")
        self.alpha = alpha
        self.slow_indices = SLOW_SAMPLING[slow_sampling]
        self.fast_input, fast_in_channels, fast_shrink = FAST_INPUTS[fast_input]
        self.slow = self.fast = self.laterals = None
        extra_channels = [0, 0, 0, 0]
        if pathways == "slowfast" and lateral != "none":
            outputs = [
                [stages[0], *(width * expansion for width in stages[:3])]
                for stages in (widths, fast_widths)
            ]
            laterals = [
                build_lateral(
                    lateral,
                    slow_channels=slow,
                    fast_channels=fast,
                    alpha=alpha,
                    kernel=fusion_kernel,
                    norm=fusion_norm,
                    indices=self.slow_indices,
                )
                for slow, fast in zip(*outputs, strict=True)
            ]
            self.laterals = nn.ModuleList(laterals)
            extra_channels = [join.extra_channels for join in laterals]
        if pathways != "fast":
            make = partial(NonLocal3d, kind=nonlocal_kind, pool=nonlocal_pool)
            self.slow = Pathway(
                stem_width=widths[0],
                widths=widths,
                stem_kernel=SLOW_STEM_KERNEL,
                in_channels=3,
                temporal_kernels=slow_temporal,
                temporal_depths=temporal_depths or depths,
                extra_channels=extra_channels,
                extras=[dict.fromkeys(blocks, make) for blocks in nonlocal_blocks],
                **common,
            )
        if pathways != "slow":
            self.fast = Pathway(
                stem_width=fast_widths[0],
                widths=fast_widths,
                stem_kernel=FAST_STEM_KERNEL,
                in_channels=fast_in_channels,
                temporal_kernels=fast_temporal,
                temporal_depths=fast_temporal_depths or temporal_depths or depths,
                extra_channels=[0, 0, 0, 0],
                **common,
            )
        paths = [(self.slow, 1), (self.fast, fast_shrink)]
        self.out_channels = [path.out_channels for path, _ in paths if path is not None]
        self.strides = [path.stride * shrink for path, shrink in paths if path is not None]
        init_residual(self, zero_init)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Normalised frames f[B,3,T,H,W] -> a feature f[B,C,T',H/stride,W/stride] per pathway.

        T' is ceil(T/alpha) for the Slow pathway, T for the Fast one. Any T, H and W; what the
        strides do not divide is rounded up.
        """
        slow = fast = None
        if self.slow is not None:
            num_frames = operator.index(frames.shape[2])  # a plain number, even to a compiler
            indices = self.slow_indices(num_frames, self.alpha)
            slow = self.slow.stem(take_frames(frames, indices))
        if self.fast is not None:
            fast = self.fast.stem(self.fast_input(frames))
        for stage in range(4):
            if self.laterals is not None:
                slow = self.laterals[stage](slow, fast)
            if self.slow is not None:
                slow = self.slow.stages[stage](slow)
            if self.fast is not None:
                fast = self.fast.stages[stage](fast)
        return [feature for feature in (slow, fast) if feature is not None]
