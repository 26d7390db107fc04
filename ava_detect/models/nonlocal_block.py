"""Non-local block: every position looks at all others (Wang et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F


class NonLocal3d(nn.Module):
    """Residual attention over all positions of space and time, through half the channels.

    ``kind``: ``dot_product`` divides the products of positions by their number, ``softmax`` is
    the embedded Gaussian. Keys and values are max-pooled by ``pool`` (frames, rows, columns).
    """

    def __init__(
        self,
        channels: int,
        kind: Literal["dot_product", "softmax"] = "dot_product",
        pool: Sequence[int] = (1, 2, 2),
    ) -> None:
        super().__init__()
        inner = channels // 2
        self.kind = kind
        self.pool = tuple(pool)
        self.theta = nn.Conv3d(channels, inner, 1)
        self.phi = nn.Conv3d(channels, inner, 1)
        self.g = nn.Conv3d(channels, inner, 1)
        self.out = nn.Conv3d(inner, channels, 1)
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """f[B,C,T,H,W] -> the same shape."""
        kernel = [min(size, length) for size, length in zip(self.pool, x.shape[2:], strict=True)]
        pooled = F.max_pool3d(x, kernel)
        queries = self.theta(x).flatten(2).transpose(1, 2)  # [B,P,inner]
        keys = self.phi(pooled).flatten(2)  # [B,inner,Q]
        values = self.g(pooled).flatten(2).transpose(1, 2)  # [B,Q,inner]
        products = queries @ keys
        if self.kind == "softmax":
            attention = (products * keys.shape[1] ** -0.5).softmax(dim=2)
        else:
            attention = products / keys.shape[2]
        seen = (attention @ values).transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.norm(self.out(seen))
