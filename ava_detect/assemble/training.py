"""What a training run of a config needs besides its model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch

from ava_detect.clips import ClipSource
from ava_detect.config import Config
from ava_detect.data.dataset import ClipDataset, Sampling
from ava_detect.data.keyframes import Keyframe
from ava_detect.data.loaders import ClipLoader, TrainBatches
from ava_detect.data.transforms import TrainTransform
from ava_detect.engine import distributed
from ava_detect.engine.losses import action_loss, balanced_weights
from ava_detect.engine.optim import LRSchedule, build_optimizer
from ava_detect.engine.train import Loss
from ava_detect.models.network import ActionDetector
from ava_eval.errors import InputError

_log = logging.getLogger(__name__)


def build_batches(
    config: Config,
    source: ClipSource,
    keyframes: Sequence[Keyframe],
    sampling: Sampling,
    steps: range,
) -> ClipLoader:
    """This process's batches of the steps, ``optim.accumulate`` of them each."""
    data, augment, optim = config.data, config.augment, config.optim
    parts = distributed.world_size() * optim.accumulate
    if optim.batch_size % parts:
        raise InputError(
            f"optim.batch_size: expected a multiple of {parts} ({distributed.world_size()}"
            f" processes x {optim.accumulate} parts of each), got {optim.batch_size}: it counts"
            " the clips of all of them"
        )
    whole_clips = data.kind == "kinetics"
    transform = TrainTransform(
        short_side=augment.short_side,
        crop=augment.crop,
        flip=augment.flip,
        color=augment.color,
        box_jitter=0.0 if whole_clips else augment.box_jitter,
        min_visible=0.0 if whole_clips else augment.min_visible,
    )
    batches = TrainBatches(
        len(keyframes),
        optim.batch_size,
        config.seed,
        steps.start,
        len(steps),
        distributed.rank(),
        distributed.world_size(),
        optim.accumulate,
    )
    clips = ClipDataset(keyframes, source, sampling, transform)
    return ClipLoader(clips, batches, data.workers, skip=data.on_error == "skip")


def build_loss(config: Config, model: ActionDetector, keyframes: Sequence[Keyframe]) -> Loss:
    """The loss of the settings; balanced weights are those of the labels that are trained on."""
    optim = config.optim
    weights = None
    if optim.class_weights == "balanced":
        labels = np.concatenate([k.labels for k in keyframes if k.labels is not None])
        weights = balanced_weights(torch.from_numpy(labels.sum(axis=0)).long())
    return partial(
        action_loss,
        exclusive=model.exclusive,
        reduction=optim.loss_reduction,
        focal_gamma=optim.focal_gamma,
        focal_alpha=optim.focal_alpha,
        class_weights=weights,
    )


def build_norms(config: Config, model: ActionDetector, device: torch.device) -> ActionDetector:
    """The model with the batch norms that the config asks for."""
    if config.optim.batch_norm == "frozen":
        model.freeze_norms()
    if config.optim.batch_norm == "synchronised":
        if device.type != "cuda":
            raise InputError(
                f"optim.batch_norm: synchronised needs GPUs, got device {device}; on CPUs use"
                " trainable or frozen"
            )
        model = cast(ActionDetector, torch.nn.SyncBatchNorm.convert_sync_batchnorm(model))
    return model


def build_run_optimizer(config: Config, model: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimizer of the settings."""
    optim = config.optim
    return build_optimizer(
        model,
        name=optim.name,
        lr=optim.lr,
        momentum=optim.momentum,
        nesterov=optim.nesterov,
        weight_decay=optim.weight_decay,
    )


def build_schedule(config: Config, num_samples: int) -> LRSchedule:
    """The learning rate over the run, in steps, scaled to its batch; the log tells how."""
    optim = config.optim
    steps_per_unit = num_samples / optim.batch_size if optim.unit == "epochs" else 1

    def in_steps(count: int) -> int:
        return round(count * steps_per_unit)

    base = optim.lr
    scaled = ""
    if optim.lr_batch_size is not None:
        base *= optim.batch_size / optim.lr_batch_size
        scaled = f" = {optim.lr:g} x {optim.batch_size}/{optim.lr_batch_size}"
    schedule = LRSchedule(
        kind=optim.schedule,
        base_lr=base,
        steps=max(1, in_steps(optim.steps)),
        warmup_steps=in_steps(optim.warmup_steps),
        warmup_start=optim.warmup_factor,
        milestones=tuple(in_steps(milestone) for milestone in optim.milestones),
        gamma=optim.gamma,
    )
    _log.info(
        "learning rate %g%s: warm-up over %d of %d steps of %d clips (%d processes x %d, %d at"
        " once), %.1f epochs of %d clips",
        base,
        scaled,
        schedule.warmup_steps,
        schedule.steps,
        optim.batch_size,
        distributed.world_size(),
        optim.batch_size // distributed.world_size(),
        optim.batch_size // distributed.world_size() // optim.accumulate,
        schedule.steps * optim.batch_size / num_samples,
        num_samples,
    )
    for problem in _left_behind(config):
        _log.warning("warning: %s", problem)
    return schedule


def _left_behind(config: Config) -> Iterator[str]:
    """What of the schedule a shortened run never comes to; often all that was changed is steps."""
    optim = config.optim
    steps, unit = optim.steps, optim.unit
    if optim.warmup_steps >= steps:
        yield (
            f"optim.warmup_steps: the warm-up of {optim.warmup_steps} {unit} does not end within"
            f" the {steps} of optim.steps: the rate stays below optim.lr; set it too"
        )
    late = [f"{milestone}" for milestone in optim.milestones if milestone >= steps]
    if late and optim.schedule == "steps":
        yield (
            f"optim.milestones: {', '.join(late)} not within the {steps} {unit} of optim.steps: the"
            " rate does not fall there; set them too, as in optim.milestones=[N,N], or"
            " optim.schedule=cosine"
        )
