"""What moves the weights: the optimizer and its learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn


def build_optimizer(
    model: nn.Module,
    *,
    name: Literal["sgd", "adamw"] = "sgd",
    lr: float,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 1e-7,
    norm_weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """SGD with momentum or AdamW over the trainable parameters of ``model``.

    Norms and biases, which are the parameters of one dimension, decay by ``norm_weight_decay``.
    The defaults are the recipe of the SlowFast paper for AVA (section 5: momentum 0.9, weight
    decay 1e-7); ``momentum`` and ``nesterov`` concern SGD only, AdamW keeps its betas 0.9, 0.999.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": norm_weight_decay},
    ]
    groups = [group for group in groups if group["params"]]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov and momentum > 0)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=lr)
    raise ValueError(f"no such optimizer: {name!r}; expected 'sgd' or 'adamw'")


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


@dataclass(frozen=True)
class LRSchedule:
    """Learning rate as a pure function of the step, so that a resumed run needs no state of it.

    ``cosine`` is the half period ``base_lr * (cos(pi * step / steps) + 1) / 2`` of the SlowFast
    paper (section 4.1); ``steps`` multiplies by ``gamma`` from each milestone on. Over the first
    ``warmup_steps`` the rate grows linearly from ``warmup_start * base_lr`` to the curve.
    """

    kind: Literal["cosine", "steps"]
    base_lr: float
    steps: int
    warmup_steps: int = 0
    warmup_start: float = 0.1
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1

    def __call__(self, step: int) -> float:
        """Rate of the update that follows ``step`` finished ones, 0 <= step < steps."""
        if step >= self.warmup_steps:
            return self._curve(step)
        start, end = self.warmup_start * self.base_lr, self._curve(self.warmup_steps)
        return start + (end - start) * step / self.warmup_steps

    def _curve(self, step: int) -> float:
        if self.kind == "cosine":
            return self.base_lr * 0.5 * (math.cos(math.pi * step / self.steps) + 1)
        if self.kind == "steps":
            return self.base_lr * self.gamma ** sum(step >= m for m in self.milestones)
        raise ValueError(f"no such schedule: {self.kind!r}; expected 'cosine' or 'steps'")
