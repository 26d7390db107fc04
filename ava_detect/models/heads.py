"""From pathway features and boxes to action logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from ava_detect.models.precision import full_precision


class RoIHead(nn.Module):
    """Per-box action classifier of the paper (section 5): RoIAlign, pooling, one linear layer.

    The paper replicates each box along time, aligns in 3-D and averages over time. RoIAlign is
    linear in the features and a replicated box samples every frame at the same points, so this
    equals RoIAlign of the time mean, at a T-th of the cost. The maximum over space follows; the
    pathways are concatenated; dropout and a linear layer give one independent logit a class.

    ``stride``: pixels per feature cell. ``aligned``: RoIAlign's half-pixel shift. ``prior``: the
    probability that the classes start with, one for all or one each; 0.5 is a zero bias, and the
    rarity of actions makes a smaller one save the first steps of training.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        stride: int,
        resolution: int = 7,
        dropout: float = 0.5,
        aligned: bool = True,
        prior: float | Sequence[float] = 0.5,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.resolution = resolution
        self.aligned = aligned
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(sum(in_channels), num_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        with torch.no_grad():
            self.classifier.bias.copy_(torch.as_tensor(prior).logit())

    def forward(self, features: Sequence[Tensor], rois: Tensor) -> Tensor:
        """[f[B,C_p,T_p,H,W]], rois f32[M,5] (batch index, x1, y1, x2, y2 in pixels) -> f32[M,C].

        Always in float32: logits rounded to 8 bits would tie and blur the ranking.
        """
        with full_precision(rois.device):
            pooled = torch.cat([self._pool(feature, rois) for feature in features], dim=1)
            return self.classifier(self.dropout(pooled))

    def _pool(self, feature: Tensor, rois: Tensor) -> Tensor:
        mean = feature.mean(dim=2, dtype=torch.float32)
        cells = roi_align(mean, rois, self.resolution, 1 / self.stride, aligned=self.aligned)
        return cells.amax(dim=(2, 3))
