"""The moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """Exponential moving average of a model's weights and buffers, for evaluation.

    ``average = d * average + (1 - d) * weights`` after each step, where ``d`` grows to ``decay`` as
    ``(1 + step) / (10 + step)``: without that a short run would evaluate its initialisation.
    Counters (integer buffers) are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {key: value.detach().clone() for key, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights that ``step`` finished steps have left."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value, 1 - decay)
            else:
                self.state[key].copy_(value)

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from ``state``, that of an average of the same model."""
        for key, value in self.state.items():
            value.copy_(state[key])

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Lend the averaged weights to ``model``; its own return when the block ends."""
        own = {key: value.detach().clone() for key, value in model.state_dict().items()}
        model.load_state_dict(self.state)
        try:
            yield
        finally:
            model.load_state_dict(own)
