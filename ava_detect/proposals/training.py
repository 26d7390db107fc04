"""How a person detector is trained, whichever library it comes from."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from ava_eval.errors import InputError

Batch = TypeVar("Batch")
WARMUP = 0.05  # part of the steps
LAST_RATE = 0.01  # part of the rate at both ends
MOMENTUM = 0.9


@dataclass(frozen=True)
class Fitting:
    """The schedule of a training.

    ``lr`` is warmed up over ``warmup_steps`` (None: a twentieth of the steps). It falls to a tenth
    at each of ``milestones`` or, without any, along half a cosine. The default rate is for small
    detectors from scratch by AdamW; fine-tuning published weights wants about 1e-4.
    ``short_sides``, in pixels, are those of training images, one drawn for each; none: the
    detector's own choice.
    """

    steps: int
    batch_size: int = 8
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 4e-3
    weight_decay: float = 0.02
    milestones: tuple[int, ...] = ()
    warmup_steps: int | None = None
    clip_grad: float | None = 5.0
    short_sides: tuple[int, ...] = ()

    def rate(self, step: int) -> float:
        """The factor of the rate after ``step`` steps."""
        warmup = WARMUP * self.steps if self.warmup_steps is None else self.warmup_steps
        warm = min(1.0, LAST_RATE + step / warmup) if warmup else 1.0
        if self.milestones:
            return warm * 0.1 ** bisect_right(self.milestones, step)
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return warm * (LAST_RATE + (1 - LAST_RATE) * cosine)

    def build_optimizer(
        self, model: nn.Module
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """The optimizer, which decays matrices and kernels but no biases and norms; its rate."""
        trained = [p for p in model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        # Fused: a small network's step is mostly the calls of its many small updates.
        optimizer = (
            torch.optim.AdamW(groups, self.lr, fused=True)
            if self.optimizer == "adamw"
            else torch.optim.SGD(groups, self.lr, MOMENTUM)
        )
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)

    def clip(self, model: nn.Module) -> None:
        """Shorten the gradient where it is longer than ``clip_grad``."""
        if self.clip_grad is not None:
            nn.utils.clip_grad_norm_(model.parameters(), self.clip_grad)


def fit(
    model: nn.Module,
    batches: Iterable[Batch],
    loss_of: Callable[[Batch], Tensor],
    fitting: Fitting,
    log: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train ``model`` in place; return the loss of each step.

    ``batches`` yields at least as many batches as there are steps. ``log(step, loss)`` is called
    after each step, from 1. Raises InputError when the loss is no longer finite.
    """
    model.train()
    optimizer, schedule = fitting.build_optimizer(model)
    losses = []
    for step, batch in zip(range(1, fitting.steps + 1), batches, strict=False):
        loss = loss_of(batch)
        losses.append(require_finite(loss.item(), step, fitting.lr))
        optimizer.zero_grad()
        loss.backward()
        fitting.clip(model)
        optimizer.step()
        schedule.step()
        if log is not None:
            log(step, losses[-1])
    model.eval()
    return losses


def require_gradients(precision: str) -> None:
    """Raise InputError for a number format in which small gradients vanish."""
    if precision == "float16":
        raise InputError(
            "precision: float16 needs gradients to be scaled, which train-proposer does not do; set"
            " precision=auto, bfloat16 or float32"
        )


def require_finite(loss: float, step: int, lr: float) -> float:
    """The loss; InputError with the remedy if it is infinite or not a number."""
    if not math.isfinite(loss):
        raise diverged(loss, step, lr)
    return loss


def diverged(loss: object, step: int, lr: float) -> InputError:
    """What to tell of a training that has run away at ``step``."""
    return InputError(
        f"proposer.train.lr: expected a rate at which the loss stays finite, got {lr:g} "
        f"and a loss of {loss} at step {step}; lower it"
    )
