"""The model: frames and person boxes in, action logits out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ava_detect.models.heads import ClipHead, RoIHead


class ActionDetector(nn.Module):
    """Backbone and head over raw 8-bit frames; their normalisation is part of the model.

    With a RoI head it scores boxes; with a clip head it is the classifier of whole clips that
    detectors start from, and ``rois`` are not looked at.

    ``mean`` and ``std`` are per RGB channel, in units of [0, 1]. Of the classes whose columns are
    ``exclusive`` a person does exactly one; a clip head's are so, all of them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        head: RoIHead | ClipHead,
        mean: Sequence[float] = (0.45, 0.45, 0.45),
        std: Sequence[float] = (0.225, 0.225, 0.225),
        exclusive: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        of_clips = isinstance(head, ClipHead)
        self.exclusive = list(range(head.num_classes)) if of_clips else sorted(exclusive)
        self.frozen_norms = False
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, frames: Tensor, rois: Tensor) -> Tensor:
        """frames u8[B,T,H,W,3] RGB, rois f32[M,5] (batch index, pixels of the clip) -> f32[M,C].

        f32[B,C] with a clip head.
        """
        return self.head(self.backbone(self.normalise(frames)), rois)

    def scores(self, logits: Tensor) -> Tensor:
        """Scores f32[M,C] in [0,1]: a sigmoid for each class, one softmax for exclusive ones."""
        logits = logits.float()
        if len(self.exclusive) == logits.shape[1]:
            return logits.softmax(dim=1)
        scores = logits.sigmoid()
        if self.exclusive:
            columns = torch.tensor(self.exclusive, device=logits.device)
            # not by an assignment, which an export takes for one of more than a single row
            scores.index_copy_(1, columns, logits.index_select(1, columns).softmax(dim=1))
        return scores

    def freeze_norms(self) -> None:
        """From now on batch norms keep their statistics, their scale and their shift."""
        self.frozen_norms = True
        for norm in self._norms():
            norm.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> ActionDetector:
        """See ``nn.Module.train``; frozen batch norms stay as in evaluation."""
        super().train(mode)
        if self.frozen_norms:
            for norm in self._norms():
                norm.eval()
        return self

    def _norms(self) -> list[nn.Module]:
        return [m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]

    def normalise(self, frames: Tensor) -> Tensor:
        """u8[B,T,H,W,3] -> f32[B,3,T,H,W], channels last in memory."""
        # over whole rows of W*3 numbers, since a loop over 3 channels is too short to be vectorised
        width = frames.shape[3]
        shift, scale = ((255 * x).repeat(width) for x in (self.mean, self.std))
        # .float() first: arithmetic of bytes with floats is half as fast
        rows = frames.flatten(3).float().sub_(shift).div_(scale)
        return rows.unflatten(3, (width, 3)).permute(0, 4, 1, 2, 3)
