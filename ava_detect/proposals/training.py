"""The loop that trains a person detector, whichever library it comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

from ava_eval.errors import InputError

Batch = TypeVar("Batch")
WARMUP = 0.05  # part of the steps
LAST_RATE = 0.01  # part of the rate at both ends
CLIP_GRAD = 5.0


def fit(
    model: nn.Module,
    batches: Iterable[Batch],
    loss_of: Callable[[Batch], Tensor],
    *,
    steps: int,
    lr: float,
    weight_decay: float,
    log: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Take ``steps`` AdamW steps at a warmed-up cosine rate; return the loss of each.

    ``batches`` yields at least ``steps`` batches. ``log(step, loss)`` is called after each step,
    from 1. Raises InputError when the loss is no longer finite.
    """
    model.train()
    optimizer = _optimizer(model, lr, weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / steps))
    losses = []
    for step, batch in zip(range(1, steps + 1), batches, strict=False):
        loss = loss_of(batch)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise InputError(
                f"proposer.train.lr: expected a rate at which the loss stays finite, got {lr:g} "
                f"and a loss of {losses[-1]} at step {step}; lower it"
            )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_GRAD)
        optimizer.step()
        schedule.step()
        if log is not None:
            log(step, losses[-1])
    model.eval()
    return losses


def _optimizer(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW that decays matrices and kernels, not biases and norms."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr,
        fused=True,  # a small network's step is mostly the calls of its many small updates
    )


def _rate(part: float) -> float:
    """Factor of the learning rate after a part of the steps: linear warm-up, half a cosine."""
    cosine = 0.5 * (1 + math.cos(math.pi * part))
    return min(1.0, LAST_RATE + part / WARMUP) * (LAST_RATE + (1 - LAST_RATE) * cosine)
