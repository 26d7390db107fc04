"""Losses as (sum, count), so that several processes can divide by the people of all of them."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

RARE = 0.999
"""Beta of the class-balanced weights: from about 1 / (1 - beta) examples on a class is not rare."""

SURE = 1e-7
"""A probability of a wrong answer below is taken for this."""


def bce_sum(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    reduction: Literal["mean", "sum_classes"] = "mean",
    focal_gamma: float = 0.0,
    focal_alpha: float = 1.0,
    class_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, int]:
    """Binary cross-entropy of every class on its own (SlowFast paper, section 5): sum and people.

    ``logits`` and ``labels`` are f[M, C] with labels in {0, 1}. A person's loss is the mean over
    the classes (``"mean"``, as PySlowFast) or their sum (``"sum_classes"``, C times as much); the
    returned sum, in float32 whatever the precision of the logits, is that over the M people.
    With nobody it is a zero that can still be differentiated.

    With ``focal_gamma`` each class's loss is multiplied by ``focal_alpha * (1 - p) ** gamma``,
    where p is the probability given to the right answer (Lin et al. 2017, as in mmaction2's head
    for AVA). ``class_weights`` f32[C] multiply the loss of each class.
    """
    losses = binary_cross_entropy_with_logits(logits.float(), labels.float(), reduction="none")
    if focal_gamma:
        # Clamped: a power below 1 has no gradient at 0.
        wrong = -torch.expm1(-losses).clamp(max=-SURE)
        losses = focal_alpha * wrong**focal_gamma * losses
    if class_weights is not None:
        losses = losses * class_weights.to(losses.device)
    total = losses.sum()
    if reduction == "mean":
        return total / logits.shape[1], len(logits)
    if reduction == "sum_classes":
        return total, len(logits)
    raise ValueError(f"no such reduction: {reduction!r}; expected 'mean' or 'sum_classes'")


def balanced_weights(counts: torch.Tensor, beta: float = RARE) -> torch.Tensor:
    """Weights f32[C], of mean 1, of classes with ``counts`` i64[C] positive examples.

    The inverse of the effective number of examples, (1 - beta ** n) / (1 - beta) (Cui et al. 2019).
    A class without examples weighs as one with a single one.
    """
    effective = (1 - beta ** counts.clamp(min=1).double()) / (1 - beta)
    weights = 1 / effective
    return (weights / weights.mean()).float()
