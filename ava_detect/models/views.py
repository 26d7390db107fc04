"""Models that look at a clip more than once, and the mean of what they see."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn


class ScoringModel(Protocol):
    """What gives logits and scores, such as ``ActionDetector``."""

    training: bool

    def __call__(self, frames: Tensor, rois: Tensor) -> Tensor: ...

    def scores(self, logits: Tensor) -> Tensor: ...


class FlipViews(nn.Module):
    """The mean of a detector's scores for a clip and its mirror image."""

    def __init__(self, model: ScoringModel) -> None:
        super().__init__()
        self.model = model
        self.train(model.training)

    def forward(self, frames: Tensor, rois: Tensor) -> Tensor:
        """frames u8[B,T,H,W,3] RGB, rois f32[M,5] (clip, x1, y1, x2, y2 in pixels) -> f32[M,C]."""
        clip, x1, y1, x2, y2 = rois.unbind(dim=1)
        width = frames.shape[3]
        mirrored = torch.stack([clip, width - x2, y1, width - x1, y2], dim=1)
        views = [(frames, rois), (frames.flip(3), mirrored)]
        first, second = (self.model.scores(self.model(*view)) for view in views)
        return (first + second) / 2


class CropViews(nn.Module):
    """The mean of a classifier's scores over squares along the long side of the frames (SlowFast
    paper, section 4).

    Of 3 crops one is at each end and one in the middle, where a single one is.
    """

    def __init__(self, model: ScoringModel, num_crops: int) -> None:
        super().__init__()
        self.model = model
        self.num_crops = num_crops
        self.train(model.training)

    def forward(self, frames: Tensor, rois: Tensor) -> Tensor:
        """frames u8[B,T,H,W,3] RGB, rois not looked at -> scores f32[B,C]."""
        views = [self.model.scores(self.model(c, rois)) for c in squares(frames, self.num_crops)]
        return sum(views[1:], views[0]) / len(views)


def squares(frames: Tensor, count: int) -> list[Tensor]:
    """``count`` views [B,T,S,S,3] of [B,T,H,W,3], S the short side; the middle rounds up, as in
    PySlowFast."""
    height, width = frames.shape[2:4]
    side, room = min(height, width), abs(height - width)
    middle = math.ceil(room / 2)
    starts = [middle] if count == 1 else [0, middle, room]
    dim = 2 if height > width else 3
    return [frames.narrow(dim, start, side) for start in starts]
