"""Losses as sums, so that several processes can divide by the people of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

RARE = 0.999
"""Beta of the class-balanced weights: from about 1 / (1 - beta) examples on a class is not rare."""

SURE = 1e-7
"""A probability of a wrong answer below is taken for this."""


def action_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    exclusive: Sequence[int] = (),
    reduction: Literal["mean", "sum_classes"] = "mean",
    focal_gamma: float = 0.0,
    focal_alpha: float = 1.0,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """The loss of M people, summed over them, in float32 whatever the precision of the logits.

    ``logits`` and ``labels`` are f[M, C] with labels in {0, 1}. Every class has its own binary
    cross-entropy (SlowFast paper, section 5); a person's is the mean over the classes (``"mean"``,
    as PySlowFast) or their sum (``"sum_classes"``). Columns that are ``exclusive`` share a softmax
    instead, whose cross-entropy is added: poses in AVA (as AlphAction), all classes of Kinetics.
    Who has none of them adds nothing to it; who has several is shared among them.
    With nobody the sum is a zero that can still be differentiated.

    With ``focal_gamma`` each class's loss is multiplied by ``focal_alpha * (1 - p) ** gamma``,
    where p is the probability given to the right answer (Lin et al. 2017, as in mmaction2's head
    for AVA). ``class_weights`` f32[C] multiply the loss of each class.
    """
    logits, labels = logits.float(), labels.float()
    in_softmax = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
    in_softmax[list(exclusive)] = True
    weights = torch.ones(logits.shape[1], device=logits.device)
    if class_weights is not None:
        weights = class_weights.to(logits.device)

    total = logits.sum() * 0  # differentiable, also where there is nothing to sum
    if len(exclusive):
        one_hot, its_logits = labels[:, in_softmax], logits[:, in_softmax]
        shares = one_hot / one_hot.sum(dim=1, keepdim=True).clamp(min=1)
        nll = _focal(-its_logits.log_softmax(dim=1), focal_gamma, focal_alpha)
        total = total + (shares * nll * weights[in_softmax]).sum()
    alone = ~in_softmax
    if len(exclusive) < logits.shape[1]:
        bce = binary_cross_entropy_with_logits(logits[:, alone], labels[:, alone], reduction="none")
        each = (_focal(bce, focal_gamma, focal_alpha) * weights[alone]).sum()
        if reduction not in ("mean", "sum_classes"):
            raise ValueError(f"no such reduction: {reduction!r}; expected 'mean' or 'sum_classes'")
        total = total + (each / alone.sum() if reduction == "mean" else each)
    return total


def _focal(losses: torch.Tensor, gamma: float, alpha: float) -> torch.Tensor:
    """Losses -log(p), well-known answers weighed down."""
    if not gamma:
        return losses
    # Clamped: a power below 1 has no gradient at 0.
    wrong = -torch.expm1(-losses).clamp(max=-SURE)
    return alpha * wrong**gamma * losses


def balanced_weights(counts: torch.Tensor, beta: float = RARE) -> torch.Tensor:
    """Weights f32[C] of classes with ``counts`` i64[C] positive examples.

    The inverse of the effective number of examples, (1 - beta ** n) / (1 - beta) (Cui et al. 2019),
    scaled to a mean of 1 over the classes that have examples. The others weigh 1.
    """
    present = counts > 0
    effective = (1 - beta ** counts[present].double()) / (1 - beta)
    weights = torch.ones(counts.shape, dtype=torch.float64)
    weights[present] = 1 / effective / (1 / effective).mean()
    return weights.float()
