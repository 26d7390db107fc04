"""`ava-detect train`."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from ava_detect.assemble import (
    build_device,
    build_label_map,
    build_model,
    build_sampling,
    build_videos,
    load_split,
)
from ava_detect.clips import ClipSource
from ava_detect.commands.people import training_people
from ava_detect.config import Config, dump_config, parse_config
from ava_detect.data.ava import AvaClips
from ava_detect.data.keyframes import Keyframe, training_keyframes
from ava_detect.data.loaders import ClipLoader, TrainBatches, unread_text
from ava_detect.data.transforms import TrainTransform
from ava_detect.engine import checkpoint as checkpoints
from ava_detect.engine import distributed
from ava_detect.engine.average import WeightAverage
from ava_detect.engine.environment import note_start
from ava_detect.engine.logs import ProgressLog
from ava_detect.engine.losses import action_loss, balanced_weights
from ava_detect.engine.optim import LRSchedule, build_optimizer
from ava_detect.engine.train import Loss
from ava_detect.engine.train import train as run_steps
from ava_detect.models.network import ActionDetector
from ava_detect.models.precision import choose_precision
from ava_detect.pretrained import start_model
from ava_eval.atomic import atomic_path, require_writable
from ava_eval.errors import InputError

_log = logging.getLogger(__name__)

# Settings that a resumed run may change: they do not touch what is learned.
FREE = (
    *("output", "split", "weights", "device", "log_every", "save_every", "evaluation", "proposer"),
    *("data.val", "data.test", "data.eval_label_map", "data.workers", "data.cache_gb"),
)


def train(config: Config, videos: ClipSource | None = None) -> Path:
    """Train the action detector; return the final checkpoint.

    A run that was interrupted goes on where it was, exactly; a finished one is left alone.
    ``videos``: a source that is open already.
    """
    final = config.output / checkpoints.FINAL
    require_writable(final)
    label_map = build_label_map(config)
    if final.is_file():
        _check_same_run(config, label_map, checkpoints.load_checkpoint(final))
        _log.info("%s: this run is finished", config.output)
        return final
    device = build_device(config)
    videos = videos or build_videos(config, "train")
    people = training_people(config, load_split(config, "train", videos))
    keyframes = training_keyframes(people, label_map["action_id"].tolist())
    if not keyframes:
        raise InputError("data.train.annotations: expected people to train on, got none")

    torch.manual_seed(config.seed)
    model = build_model(config, len(label_map)).to(device)
    newest = checkpoints.latest(config.output)
    if newest is None:
        _start(config, label_map, model)
    model = _with_norms(config, model, device)
    optimizer = _optimizer(config, model)
    average = WeightAverage(model, config.optim.ema) if config.optim.ema else None
    first_step = 0
    if newest is not None:
        _check_same_run(config, label_map, newest)
        checkpoints.restore(newest, model=model, optimizer=optimizer, average=average)
        first_step = newest.step
        _log.info("resuming %s after step %d", config.output, first_step)
    if distributed.rank():  # of one seed, so that processes do not drop out the same units
        torch.manual_seed(config.seed + distributed.rank() * 10**9 + first_step)

    content: dict[str, Any] = {
        "model": model,
        "average": average,
        "config": dump_config(config),
        "meta": {"label_map": label_map.to_dict("list")},
    }

    def save(step: int) -> None:
        checkpoints.save_step(config.output, step=step, optimizer=optimizer, **content)

    note_start(config.output, first_step, device)
    batches = _batches(config, videos, keyframes, first_step)
    with ProgressLog(
        config.optim.steps,
        first_step=first_step,
        metrics_path=config.output / "metrics.jsonl",
        device=device,
        every_steps=config.log_every,
        skipped=lambda: batches.skipped.total(),
    ) as log:
        run_steps(
            model,
            batches,
            optimizer,
            _schedule(config),
            _loss(config, keyframes),
            first_step=first_step,
            num_steps=config.optim.steps,
            dtype=choose_precision(config.precision, device),
            device=device,
            clip_grad=config.optim.clip_grad,
            average=average,
            log=log,
            save_every=config.save_every,
            save=save,
        )
    if batches.skipped:
        _log.warning("%s", unread_text(batches.skipped, "replaced by others"))
    if distributed.is_main():
        checkpoints.save_checkpoint(final, step=config.optim.steps, **content)
    return final


def _batches(
    config: Config, videos: ClipSource, keyframes: list[Keyframe], first_step: int
) -> ClipLoader:
    """The clips of the steps that are left."""
    data, augment, optim = config.data, config.augment, config.optim
    if optim.batch_size % distributed.world_size():
        raise InputError(
            f"optim.batch_size: expected a multiple of the {distributed.world_size()} processes,"
            f" got {optim.batch_size}: it counts the clips of all of them"
        )
    transform = TrainTransform(
        short_side=augment.short_side,
        crop=augment.crop,
        flip=augment.flip,
        color=augment.color,
        box_jitter=augment.box_jitter,
        min_visible=augment.min_visible,
    )
    clips = AvaClips(keyframes, videos, build_sampling(config), transform)
    batches = TrainBatches(
        len(keyframes),
        optim.batch_size,
        config.seed,
        first_step,
        optim.steps - first_step,
        distributed.rank(),
        distributed.world_size(),
    )
    return ClipLoader(clips, batches, data.workers, skip=data.on_error == "skip")


def _loss(config: Config, keyframes: list[Keyframe]) -> Loss:
    """The loss of the settings; balanced weights are those of the labels that are trained on."""
    optim = config.optim
    weights = None
    if optim.class_weights == "balanced":
        labels = np.concatenate([k.labels for k in keyframes if k.labels is not None])
        weights = balanced_weights(torch.from_numpy(labels.sum(axis=0)).long())
    return partial(
        action_loss,
        reduction=optim.loss_reduction,
        focal_gamma=optim.focal_gamma,
        focal_alpha=optim.focal_alpha,
        class_weights=weights,
    )


def _with_norms(config: Config, model: ActionDetector, device: torch.device) -> ActionDetector:
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


def _optimizer(config: Config, model: torch.nn.Module) -> torch.optim.Optimizer:
    optim = config.optim
    return build_optimizer(
        model,
        name=optim.name,
        lr=optim.lr,
        momentum=optim.momentum,
        nesterov=optim.nesterov,
        weight_decay=optim.weight_decay,
    )


def _schedule(config: Config) -> LRSchedule:
    optim = config.optim
    return LRSchedule(
        kind=optim.schedule,
        base_lr=optim.lr,
        steps=optim.steps,
        warmup_steps=optim.warmup_steps,
        warmup_start=optim.warmup_factor,
        milestones=optim.milestones,
        gamma=optim.gamma,
    )


def _start(config: Config, label_map: pd.DataFrame, model: ActionDetector) -> None:
    """Begin a run: take over the weights to start from, and write down the whole config."""
    if config.weights is not None:
        report = start_model(model, config, label_map)
        _log.info("%s: %s", config.weights, report.text().replace("\n", "; "))
    if distributed.is_main():
        with atomic_path(config.output / "config.yaml") as temporary:
            temporary.write_text(dump_config(config), encoding="utf-8")


def _check_same_run(config: Config, label_map: pd.DataFrame, saved: checkpoints.Checkpoint) -> None:
    """Refuse to go on with other settings or classes than the run began with."""
    _check_same_classes(label_map, saved)
    then = parse_config(saved.config, str(saved.path)).model_dump()
    for key, value in _flat(config.model_dump()):
        if any(key == free or key.startswith(f"{free}.") for free in FREE):
            continue
        before = dict(_flat(then)).get(key)
        if before != value:
            raise InputError(
                f"{key}: {config.output} holds a run with {before!r}, got {value!r};"
                " name another folder with output=DIR, or remove that one"
            )


def _check_same_classes(label_map: pd.DataFrame, saved: checkpoints.Checkpoint) -> None:
    """Column c of the classifier must mean the same action as before."""
    if saved.meta["label_map"] != label_map.to_dict("list"):
        raise InputError(
            f"data.label_map, data.classes: {saved.path} was trained on other classes, or in"
            " another order; use those of that run"
        )


def _flat(settings: dict, prefix: str = "") -> list[tuple[str, object]]:
    """(key.path, value) of nested settings."""
    pairs: list[tuple[str, object]] = []
    for key, value in settings.items():
        nested = isinstance(value, dict)
        pairs += _flat(value, f"{prefix}{key}.") if nested else [(f"{prefix}{key}", value)]
    return pairs
