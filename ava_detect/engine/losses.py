"""Losses as (sum, count), so that several processes can divide by the people of all of them."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn.functional import binary_cross_entropy_with_logits


def bce_sum(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    reduction: Literal["mean", "sum_classes"] = "mean",
) -> tuple[torch.Tensor, int]:
    """Binary cross-entropy of every class on its own (SlowFast paper, section 5): sum and people.

    ``logits`` and ``labels`` are f[M, C] with labels in {0, 1}. A person's loss is the mean over
    the classes (``"mean"``, as PySlowFast) or their sum (``"sum_classes"``, C times as much); the
    returned sum, in float32 whatever the precision of the logits, is that over the M people.
    With nobody it is a zero that can still be differentiated.
    """
    losses = binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none")
    total = losses.sum()
    if reduction == "mean":
        return total / logits.shape[1], len(logits)
    if reduction == "sum_classes":
        return total, len(logits)
    raise ValueError(f"no such reduction: {reduction!r}; expected 'mean' or 'sum_classes'")
