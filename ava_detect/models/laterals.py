"""Lateral connections: what the Fast pathway tells the Slow one (paper section 3.3, table 5a)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ava_detect.models.sampling import Indices


class TimeStridedConv(nn.Module):
    """A convolution over time with stride alpha, concatenated ("T-conv"): twice Fast's channels.

    ``norm``: batch norm and ReLU behind it, as in the paper; mmaction2 has neither.
    """

    def __init__(self, fast_channels: int, alpha: int, kernel: int, norm: bool) -> None:
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
        self.norm = nn.BatchNorm3d(self.extra_channels) if norm else None

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """f[B,Cs,ceil(T/alpha),H,W], f[B,Cf,T,H,W] -> f[B,Cs+2*Cf,ceil(T/alpha),H,W]."""
        extra = self.conv(fast)
        if self.norm is not None:
            extra = F.relu(self.norm(extra), inplace=True)
        return torch.cat([slow, fit(extra, slow)], dim=1)


class TimeStridedSample(nn.Module):
    """The Fast features at the Slow pathway's frames, concatenated ("T-sample")."""

    def __init__(self, fast_channels: int, alpha: int, indices: Indices) -> None:
        super().__init__()
        self.alpha = alpha
        self.indices = indices
        self.extra_channels = fast_channels

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """f[B,Cs,ceil(T/alpha),H,W], f[B,Cf,T,H,W] -> f[B,Cs+Cf,ceil(T/alpha),H,W]."""
        chosen = torch.tensor(self.indices(fast.shape[2], self.alpha), device=fast.device)
        return torch.cat([slow, fit(fast.index_select(2, chosen), slow)], dim=1)


class TimeToChannelConcat(nn.Module):
    """All alpha frames of a Slow frame become channels, concatenated ("TtoC, concat")."""

    def __init__(self, fast_channels: int, alpha: int) -> None:
        super().__init__()
        self.alpha = alpha
        self.extra_channels = alpha * fast_channels

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """f[B,Cs,ceil(T/alpha),H,W], f[B,Cf,T,H,W] -> f[B,Cs+alpha*Cf,ceil(T/alpha),H,W]."""
        return torch.cat([slow, fit(time_to_channel(fast, self.alpha), slow)], dim=1)


class TimeToChannelSum(nn.Module):
    """All alpha frames of a Slow frame become channels, added ("TtoC, sum").

    It needs alpha times Fast's channels to be Slow's: alpha = 1/beta.
    """

    extra_channels = 0

    def __init__(self, alpha: int) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        """f[B,alpha*Cf,ceil(T/alpha),H,W], f[B,Cf,T,H,W] -> the shape of the first."""
        return slow + fit(time_to_channel(fast, self.alpha), slow)


def time_to_channel(fast: Tensor, alpha: int) -> Tensor:
    """f[B,C,T,H,W] -> f[B,alpha*C,ceil(T/alpha),H,W]; zeros fill up the last frames."""
    x = F.pad(fast, (0, 0, 0, 0, 0, -fast.shape[2] % alpha))
    return x.unflatten(2, (-1, alpha)).transpose(2, 3).flatten(1, 2)


def fit(extra: Tensor, slow: Tensor) -> Tensor:
    """Bring ``extra`` to the height and width of ``slow`` where Fast sees half the resolution."""
    if _same_size(extra, slow):
        return extra
    return F.interpolate(extra, size=slow.shape[2:], mode="nearest")


def _same_size(extra: Tensor, slow: Tensor) -> bool:
    """Whether height and width agree; while a model is exported, whether they always do."""
    if not torch.compiler.is_exporting():
        return extra.shape[3:] == slow.shape[3:]
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    sides = zip(extra.shape[3:], slow.shape[3:], strict=True)
    return all(statically_known_true(a == b) for a, b in sides)


Lateral = TimeStridedConv | TimeStridedSample | TimeToChannelConcat | TimeToChannelSum


def build_lateral(
    kind: str,
    *,
    slow_channels: int,
    fast_channels: int,
    alpha: int,
    kernel: int,
    norm: bool,
    indices: Indices,
) -> Lateral:
    """The lateral connection called ``kind``; raises ValueError where it cannot be."""
    if kind == "time_strided_conv":
        return TimeStridedConv(fast_channels, alpha, kernel, norm)
    if kind == "time_strided_sample":
        return TimeStridedSample(fast_channels, alpha, indices)
    if kind == "time_to_channel_concat":
        return TimeToChannelConcat(fast_channels, alpha)
    if kind == "time_to_channel_sum":
        if alpha * fast_channels != slow_channels:
            raise ValueError(
                f"lateral: time_to_channel_sum needs alpha x Fast channels = Slow channels, got"
                f" {alpha} x {fast_channels} and {slow_channels}; set alpha to beta_inv"
            )
        return TimeToChannelSum(alpha)
    raise ValueError(f"lateral: unknown kind {kind!r}")
