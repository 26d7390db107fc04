"""Training detectron2's models on the people of AVA annotations, by detectron2's own trainer."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ava_detect.clips import ClipSource
from ava_detect.proposals.detectron.adapt import Limits, set_training_sizes
from ava_detect.proposals.detectron.catalog import TrainingMapper, Trial, registered
from ava_detect.proposals.detectron.checkpoints import (
    keep_newest,
    prepare_folder,
    remove_checkpoints,
)
from ava_detect.proposals.detectron.settings import (
    PEOPLE,
    build_untrained,
    choose_precision_of,
    load_settings,
    person_class,
    require_detectron2,
    settings_digest,
)
from ava_detect.proposals.detectron.weights import build_checkpointer, load_weights, weights_of
from ava_detect.proposals.files import file_digest
from ava_detect.proposals.people import PeopleOfKeyframe, people_digest
from ava_detect.proposals.training import Fitting, diverged, require_gradients
from ava_detect.timebase import Timebase
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError

KEPT = 2  # newest checkpoints

_log = logging.getLogger(__name__)


def train_detectron(
    config: str,
    samples: Sequence[PeopleOfKeyframe],
    source: ClipSource,
    timebase: Timebase,
    path: str | os.PathLike[str],
    fitting: Fitting,
    *,
    weights: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    precision: str = "auto",
    short_side: int | None = None,
    overrides: Sequence[str] = (),
    workers: int = 0,
    save_every: int = 5000,
    trial: Trial | None = None,
    log: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train a detector and write its weights to ``path``; return the loss of each step.

    It starts from ``weights``, the zoo's, or what the config file names; ``small``, and a file that
    names none, from random ones. Classes other than the person stay in the model and are never
    shown. Images are resized as ``fitting`` or the config says. `DetectronProposer` reads the file
    with the same ``config``; so does detectron2's own checkpointer.

    ``path`` without its suffix is the folder of detectron2's checkpoints and ``metrics.json``. A
    training that was cut short goes on from its last checkpoint if it is asked for the same;
    InputError if not.
    """
    require_detectron2()
    from detectron2.data import build_detection_train_loader
    from detectron2.engine import SimpleTrainer
    from detectron2.engine.hooks import LRScheduler, PeriodicCheckpointer, PeriodicWriter
    from detectron2.utils.env import seed_all_rng
    from detectron2.utils.events import JSONWriter

    from ava_detect.proposals.detectron.hooks import Losses, StepHook, trial_hooks

    if not samples:
        raise InputError("train-proposer: expected annotated people, got none")
    require_gradients(precision)
    device = torch.device(device)
    settings = load_settings(config, overrides, Limits(short_side=short_side))
    set_training_sizes(config, settings, short_side, fitting.short_sides)
    person = person_class(config, settings)
    asked: dict[str, Any] = {"config": config, "resolved": settings_digest(settings), "seed": seed}
    asked |= {"people": people_digest(samples), **asdict(fitting)}
    seed_all_rng(seed)
    model = build_untrained(settings, device)
    dtype = choose_precision_of(model, precision, device)
    start_weights = weights_of(config, settings, weights)
    if start_weights is not None:
        asked["weights"] = file_digest(load_weights(model, start_weights, strict=False))
    folder = prepare_folder(Path(path).with_suffix(""), asked)
    optimizer, schedule = fitting.build_optimizer(model)
    losses = Losses(model, dtype, device)
    trainer = SimpleTrainer(losses, None, optimizer)
    checkpointer = build_checkpointer(model, folder, trainer=trainer)
    saving = PeriodicCheckpointer(checkpointer, save_every, max_to_keep=KEPT)
    curve: list[float] = []
    trainer.register_hooks(
        [
            LRScheduler(optimizer, schedule),
            StepHook(losses, fitting, curve, log),
            saving,
            *trial_hooks(trial, model, settings, person, timebase, folder),
            PeriodicWriter([JSONWriter(str(folder / "metrics.json"))]),
        ]
    )
    start = 0
    if checkpointer.has_checkpoint():
        saving.recent_checkpoints = keep_newest(folder, checkpointer.get_checkpoint_file(), KEPT)
        checkpointer.resume_or_load("", resume=True)
        start = trainer.iter + 1
        _log.info("train-proposer goes on after step %d, from %s", start, folder)
        seed_all_rng(seed + start)  # other images than those of the first steps
    with registered(PEOPLE, samples, person) as records, _own_words():
        trainer.data_loader = build_detection_train_loader(
            records,
            mapper=TrainingMapper(settings, model, source, timebase),
            total_batch_size=fitting.batch_size,
            aspect_ratio_grouping=False,
            num_workers=workers,
        )
        try:
            trainer.train(start, fitting.steps)
        except FloatingPointError as error:  # some models look at their boxes before we can
            raise diverged(math.nan, trainer.iter + 1, fitting.lr) from error
    with atomic_path(path) as temporary:
        torch.save({"model": model.state_dict(), "variant": config}, temporary)
    remove_checkpoints(folder)
    return curve


@contextmanager
def _own_words() -> Iterator[None]:
    """detectron2 logs errors with their traceback before it hands them on; we only hand them on."""
    logger = logging.getLogger("detectron2.engine.train_loop")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
