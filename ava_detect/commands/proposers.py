"""Which person detector the config asks for, and which weights it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torchvision.models.detection import FasterRCNN

from ava_detect.assemble import build_device, build_originals, build_timebase, load_split
from ava_detect.clips import ClipSource
from ava_detect.config import Config
from ava_detect.engine.logs import StatusLine
from ava_detect.proposals.detectron import DetectronProposer, Trial, train_detectron
from ava_detect.proposals.files import file_digest
from ava_detect.proposals.people import PeopleOfKeyframe, people_of_keyframes
from ava_detect.proposals.proposer import Proposer, published
from ava_detect.proposals.torchvision_rcnn import (
    WEIGHTS_URL,
    TorchvisionProposer,
    build_faster_rcnn,
    load_weights,
    save_weights,
)
from ava_detect.proposals.torchvision_training import train_faster_rcnn
from ava_detect.proposals.training import Fitting, require_gradients
from ava_eval.errors import InputError, missing_hint


def trained_weights(config: Config) -> Path:
    """Where `train-proposer` writes the detector's weights."""
    return config.output / f"proposer_{config.proposer.kind}.pth"


def proposer_weights(config: Config) -> Path | None:
    """The weights that `propose` uses: the named file, else the trained one, else the published."""
    named = config.proposer.weights
    if named is not None:
        if not named.is_file():
            raise InputError(f"proposer.weights: {named}: no such file{missing_hint(named)}")
        return named
    trained = trained_weights(config)
    return trained if trained.is_file() else None


def build_proposer(config: Config) -> Proposer:
    """The person detector with its weights."""
    settings, weights = config.proposer, proposer_weights(config)
    name = settings.variant if settings.kind == "torchvision" else settings.config
    if weights is None and name == "small":
        raise InputError(
            f"{trained_weights(config)}: no such weights, and the small detector has no published"
            " ones; give output=DIR of the run that has them, or proposer.weights=FILE, or run"
            " `ava-detect train-proposer` first"
        )
    running: dict[str, Any] = {
        "device": build_device(config),
        "precision": config.precision,
        "min_score": settings.min_score,
        "max_boxes": settings.max_boxes,
    }
    if settings.kind == "detectron2":
        return DetectronProposer(
            settings.config,
            weights,
            candidates=settings.candidates,
            short_side=settings.short_side,
            **running,
        )
    model = _faster_rcnn(config, weights)
    facts = published(WEIGHTS_URL) if weights is None else {"weights": file_digest(weights)}
    name = f"torchvision {settings.variant}"
    return TorchvisionProposer(model, name=name, facts=facts, **running)


def require_trainable(config: Config) -> None:
    """Refuse what `train-proposer` cannot do, before it reads anything."""
    settings = config.proposer
    if settings.kind == "torchvision" and settings.train.evaluate_every is not None:
        raise InputError(
            "proposer.train.evaluate_every: only proposer.kind=detectron2 evaluates while it"
            " trains; leave it out and run `ava-detect propose` afterwards"
        )
    require_gradients(config.precision)


def fit_proposer(config: Config, people: Sequence[PeopleOfKeyframe], videos: ClipSource) -> Path:
    """Train the detector from its named weights, the published ones, or (small) from scratch."""
    settings, path = config.proposer, trained_weights(config)
    line = StatusLine()
    steps = settings.train.steps

    def log(step: int, loss: float) -> None:
        if line.due() or step == steps:
            line.show(f"train-proposer {step}/{steps}  loss {loss:.3f}")

    running: dict[str, Any] = {
        "seed": config.seed,
        "device": build_device(config),
        "precision": config.precision,
        "workers": config.data.workers,
        "log": log,
    }
    source = (people, videos, build_timebase(config))
    fitting = _fitting(config)
    if settings.kind == "detectron2":
        train_detectron(
            settings.config,
            *source,
            path,
            fitting,
            save_every=config.save_every,
            trial=_trial(config),
            weights=settings.weights,
            short_side=settings.short_side,
            **running,
        )
    else:
        model = _faster_rcnn(config, settings.weights)
        train_faster_rcnn(model, *source, fitting, **running)
        save_weights(model, settings.variant, path)
    line.close()
    return path


def _fitting(config: Config) -> Fitting:
    """The schedule of the detector's training."""
    settings = config.proposer.train
    return Fitting(
        steps=settings.steps,
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        milestones=settings.milestones,
        warmup_steps=settings.warmup_steps,
        clip_grad=settings.clip_grad,
        short_sides=settings.short_side or (),
    )


def _trial(config: Config) -> Trial | None:
    """The keyframes of the split val on which detectron2 evaluates while it trains."""
    every = config.proposer.train.evaluate_every
    if every is None:
        return None
    videos = build_originals(config, "val")
    people = people_of_keyframes(load_split(config, "val", videos).annotations)
    if not people:
        raise InputError(
            "proposer.train.evaluate_every: expected annotated people in data.val, got none"
        )
    return Trial(people, videos, every)


def _faster_rcnn(config: Config, weights: Path | None) -> FasterRCNN:
    """torchvision's detector with those weights, the published ones, or (small) random ones."""
    settings = config.proposer
    published = weights is None and settings.variant != "small"
    torch.manual_seed(config.seed)
    model = build_faster_rcnn(settings.variant, published, settings.short_side, settings.candidates)
    if weights is not None:
        load_weights(model, settings.variant, weights)
    return model
