"""What detectron2's trainer does for us at each step. (The only module that imports it at once.)"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from detectron2.config import instantiate
from detectron2.data import build_detection_test_loader
from detectron2.engine import HookBase
from detectron2.engine.hooks import EvalHook
from detectron2.evaluation import COCOEvaluator, inference_on_dataset
from torch import Tensor, nn

from ava_detect.models.precision import autocast
from ava_detect.proposals.detectron.catalog import TestMapper, Trial, frame_sizes, registered
from ava_detect.proposals.detectron.checkpoints import TRIAL
from ava_detect.proposals.detectron.settings import inference_resize
from ava_detect.proposals.training import Fitting, require_finite
from ava_detect.timebase import Timebase

_log = logging.getLogger(__name__)


class Losses(nn.Module):
    """The losses of a model that computes in ``dtype``, in float32; ``last`` is their last sum."""

    def __init__(self, model: nn.Module, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.model, self.dtype, self.device = model, dtype, device
        self.last = float("nan")

    def forward(self, batch: list[dict]) -> dict[str, Tensor]:
        with autocast(self.dtype, self.device):
            losses = self.model(batch)
        losses = {name: loss.float() for name, loss in losses.items()}
        self.last = sum(loss.item() for loss in losses.values())
        return losses


class StepHook(HookBase):
    """Refuses losses that are not finite, clips gradients, and tells each step's loss."""

    def __init__(
        self,
        losses: Losses,
        fitting: Fitting,
        curve: list[float],
        log: Callable[[int, float], None] | None,
    ) -> None:
        self.losses, self.fitting, self.curve, self.log = losses, fitting, curve, log

    def after_backward(self) -> None:
        require_finite(self.losses.last, self.trainer.iter + 1, self.fitting.lr)
        self.fitting.clip(self.losses)

    def after_step(self) -> None:
        self.curve.append(self.losses.last)
        if self.log is not None:
            self.log(self.trainer.iter + 1, self.losses.last)


def trial_hooks(
    trial: Trial | None,
    model: nn.Module,
    settings: Any,
    person: int,
    timebase: Timebase,
    folder: Path,
) -> list[HookBase]:
    """detectron2's evaluation of ``trial``, where people are class ``person``.

    Its files lie in ``folder``.
    """
    if trial is None:
        return []
    sizes = frame_sizes(trial.samples, trial.source, timebase)
    mapper = TestMapper(instantiate(inference_resize(settings)), model, trial.source, timebase)

    def evaluate() -> dict:
        with registered(TRIAL, trial.samples, person, sizes) as records:
            loader = build_detection_test_loader(records, mapper=mapper)
            evaluator = COCOEvaluator(
                TRIAL, ("bbox",), False, str(folder), allow_cached_coco=False, use_fast_impl=False
            )
            result = inference_on_dataset(model, loader, evaluator)
        found = result["bbox"]
        _log.info("COCOEvaluator: AP@50 %.1f%%, AP %.1f%%", found["AP50"], found["AP"])
        return result

    return [EvalHook(trial.every, evaluate)]
