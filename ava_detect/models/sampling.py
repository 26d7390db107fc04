"""Which frames of a clip the Slow pathway sees."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# (number of frames, alpha) -> ceil(number / alpha) frame numbers
Indices = Callable[[int, int], list[int]]


@torch.compiler.assume_constant_result  # of numbers alone: no reason to break a compiled graph
def spread_indices(num_frames: int, alpha: int) -> list[int]:
    """Evenly spread from the first to the last frame, as in PySlowFast and PyTorchVideo.

    32 frames and alpha 4 give 0, 4, 8, 13, 17, 22, 26, 31. Where alpha does not divide
    ``num_frames`` their number is rounded up, as it is in the lateral connections.
    """
    count = -(-num_frames // alpha)
    return torch.linspace(0, num_frames - 1, count, device="cpu").long().tolist()


def strided_indices(num_frames: int, alpha: int) -> list[int]:
    """Every alpha-th frame from the first on, as in mmaction2: 0, 4, 8, ... 28 of 32."""
    return list(range(0, num_frames, alpha))


SLOW_SAMPLING: dict[str, Indices] = {
    "spread": spread_indices,
    "strided": strided_indices,
}


def take_frames(frames: Tensor, indices: list[int]) -> Tensor:
    """f[B,C,T,H,W] -> f[B,C,len(indices),H,W], channels last in memory."""
    chosen = torch.tensor(indices, device=frames.device)
    # index_select answers in row-major order, so select where the channels already are last
    return frames.permute(0, 2, 3, 4, 1).index_select(1, chosen).permute(0, 4, 1, 2, 3)
