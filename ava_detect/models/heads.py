"""From pathway features to action logits: of each box, or of the whole clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from ava_detect.models.precision import full_precision

Pool = Literal["mean", "max"]


class RoIHead(nn.Module):
    """Per-box action classifier of the paper (section 5): RoIAlign, pooling, one linear layer.

    The paper replicates each box along time, aligns in 3-D and averages over time. RoIAlign is
    linear in the features and a replicated box samples every frame at the same points, so this
    equals RoIAlign of the time mean, at a T-th of the cost. The maximum over space follows; the
    pathways are concatenated; dropout and a linear layer give one independent logit a class.

    ``strides``: pixels per feature cell, one a pathway. ``aligned``: RoIAlign's half-pixel shift.
    ``prior``: the probability that the classes start with, one for all or one each; 0.5 is a zero
    bias, and the rarity of actions makes a smaller one save the first steps of training.

    Variants: ``over_time`` and ``over_space`` pool by mean or maximum (in time before RoIAlign, as
    mmaction2 does). ``context`` concatenates the mean over the whole clip, so that a person is seen
    with the scene. ``hidden`` puts a layer of so many units and a ReLU before the last.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        strides: Sequence[int],
        resolution: int = 7,
        dropout: float = 0.5,
        aligned: bool = True,
        prior: float | Sequence[float] = 0.5,
        over_time: Pool = "mean",
        over_space: Pool = "max",
        context: bool = False,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.strides = list(strides)
        self.resolution = resolution
        self.aligned = aligned
        self.over_time = over_time
        self.over_space = over_space
        self.context = context
        self.dropout = nn.Dropout(dropout)
        channels = sum(in_channels) * (2 if context else 1)
        self.classifier = build_classifier(channels, num_classes, hidden, prior)

    def forward(self, features: Sequence[Tensor], rois: Tensor) -> Tensor:
        """[f[B,C_p,T_p,H,W]], rois f32[M,5] (batch index, x1, y1, x2, y2 in pixels) -> f32[M,C].

        Always in float32: logits rounded to 8 bits would tie and blur the ranking.
        """
        with full_precision(rois.device):
            parts = [
                self._pool(feature, rois, stride)
                for feature, stride in zip(features, self.strides, strict=True)
            ]
            if self.context:
                clips = rois[:, 0].long()
                parts += [clip_mean(feature)[clips] for feature in features]
            return self.classifier(self.dropout(torch.cat(parts, dim=1)))

    def _pool(self, feature: Tensor, rois: Tensor, stride: int) -> Tensor:
        if self.over_time == "mean":
            still = feature.mean(dim=2, dtype=at_least_float32(feature))
        else:
            still = feature.amax(dim=2).to(at_least_float32(feature))
        cells = roi_align(still, rois, self.resolution, 1 / stride, aligned=self.aligned)
        return cells.amax(dim=(2, 3)) if self.over_space == "max" else cells.mean(dim=(2, 3))


class ClipHead(nn.Module):
    """Classifier of whole clips (paper section 4): mean over time and space, one linear layer.

    Any number of frames and any size. Its logits go through a softmax.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.dropout = nn.Dropout(dropout)
        self.classifier = build_classifier(sum(in_channels), num_classes)

    def forward(self, features: Sequence[Tensor], rois: Tensor | None = None) -> Tensor:
        """[f[B,C_p,T_p,H,W]] -> f32[B,C]; ``rois`` are not looked at."""
        with full_precision(features[0].device):
            pooled = torch.cat([clip_mean(feature) for feature in features], dim=1)
            return self.classifier(self.dropout(pooled))


def clip_mean(feature: Tensor) -> Tensor:
    """f[B,C,T,H,W] -> f32[B,C]."""
    return feature.mean(dim=(2, 3, 4), dtype=at_least_float32(feature))


def at_least_float32(x: Tensor) -> torch.dtype:
    """float32, or the type of ``x`` where that is finer."""
    return torch.promote_types(x.dtype, torch.float32)


def build_classifier(
    channels: int,
    num_classes: int,
    hidden: int | None = None,
    prior: float | Sequence[float] = 0.5,
) -> nn.Module:
    """One linear layer, or two with a ReLU between; the last starts at ``prior``."""
    last = nn.Linear(hidden or channels, num_classes)
    nn.init.normal_(last.weight, std=0.01)
    with torch.no_grad():
        last.bias.copy_(torch.as_tensor(prior).logit())
    if hidden is None:
        return last
    first = nn.Linear(channels, hidden)
    nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
    nn.init.zeros_(first.bias)
    return nn.Sequential(first, nn.ReLU(), last)
