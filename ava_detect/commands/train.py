"""`ava-detect train`."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ava_detect.assemble import (
    build_batches,
    build_device,
    build_label_map,
    build_loss,
    build_model,
    build_norms,
    build_run_optimizer,
    build_schedule,
    build_videos,
    exclusive_columns,
)
from ava_detect.clips import ClipSource
from ava_detect.commands.lock import alone_in
from ava_detect.commands.resume import check_same_data, check_same_run
from ava_detect.commands.tasks import (
    Measure,
    build_measure,
    fingerprint,
    people_of,
    training_samples,
)
from ava_detect.commands.training_report import report_training
from ava_detect.config import Config, dump_config
from ava_detect.data.dataset import Sampling
from ava_detect.data.keyframes import Keyframe
from ava_detect.data.loaders import ClipLoader, unread_text
from ava_detect.engine import checkpoint as checkpoints
from ava_detect.engine import distributed
from ava_detect.engine.average import WeightAverage
from ava_detect.engine.divergence import write_divergence
from ava_detect.engine.environment import note_start
from ava_detect.engine.logs import Curves, ProgressLog
from ava_detect.engine.norms import lent_norms, measure_norms
from ava_detect.engine.tensorboard import ScalarWriter
from ava_detect.engine.train import TrainingDiverged
from ava_detect.engine.train import train as run_steps
from ava_detect.inference.detector import Detector
from ava_detect.models.network import ActionDetector
from ava_detect.models.precision import choose_precision
from ava_detect.pretrained import start_model
from ava_eval.atomic import atomic_path, require_writable
from ava_eval.errors import InputError

_log = logging.getLogger(__name__)


def train(config: Config, videos: ClipSource | None = None) -> Path:
    """Train the detector, or the classifier of clips; return the final checkpoint.

    A run that was interrupted goes on where it was, exactly; a finished one is left alone. Raises
    InputError where another training is at work in the folder. ``videos``: a source that is open
    already.
    """
    require_writable(config.output / checkpoints.FINAL)
    with alone_in(config.output, "train") if distributed.is_main() else nullcontext():
        return _train(config, videos)


def _train(config: Config, videos: ClipSource | None) -> Path:
    final = config.output / checkpoints.FINAL
    label_map = build_label_map(config)
    _require_same_folder(config.output)
    if final.is_file():
        check_same_run(config, label_map, checkpoints.load_checkpoint(final))
        _log.info("%s: this run is finished", config.output)
        return final
    device = build_device(config)
    videos = videos or build_videos(config, "train")
    samples, sampling = training_samples(config, videos, label_map)
    data = fingerprint(config, samples)

    torch.manual_seed(config.seed)
    model = build_model(config, len(label_map), exclusive_columns(config, label_map)).to(device)
    newest = checkpoints.latest(config.output)
    if newest is None:
        _start(config, label_map, model, data)
    model = build_norms(config, model, device)
    optimizer = build_run_optimizer(config, model)
    average = WeightAverage(model, config.optim.ema) if config.optim.ema else None
    first_step = 0
    if newest is not None:
        check_same_run(config, label_map, newest)
        check_same_data(config, data, newest)
        checkpoints.restore(newest, model=model, optimizer=optimizer, average=average)
        first_step = newest.step
        _log.info("resuming %s after step %d", config.output, first_step)
        if config.weights is not None:
            _log.info("weights=%s was for the start and is not read again", config.weights)

    schedule = build_schedule(config, len(samples))
    loss = build_loss(config, model, samples)
    content = {
        "config": dump_config(config),
        "meta": {"label_map": label_map.to_dict("list"), "data": data},
    }
    run = _Run(config, videos, samples, sampling, model, average, device, schedule.steps, content)
    measure = build_measure(config, label_map) if config.evaluate_every else None
    batches = run.batches(first_step)
    note_start(config.output, first_step, device)
    with (
        _curves(config, first_step) as curves,
        ProgressLog(
            schedule.steps,
            first_step=first_step,
            metrics_path=config.output / "metrics.jsonl",
            device=device,
            every_steps=config.log_every,
            skipped=lambda: batches.skipped.total(),
            curves=curves,
        ) as log,
    ):
        try:
            run_steps(
                model,
                batches,
                optimizer,
                schedule,
                loss,
                first_step=first_step,
                num_steps=schedule.steps,
                seed=config.seed,
                accumulate=config.optim.accumulate,
                dtype=run.dtype,
                device=device,
                clip_grad=config.optim.clip_grad,
                average=average,
                log=log,
                save_every=config.save_every,
                save=lambda step: run.save(step, optimizer),
                evaluate_every=config.evaluate_every,
                evaluate=None if measure is None else partial(run.evaluate, measure, label_map),
            )
        except TrainingDiverged as problem:
            people = people_of(samples)
            told = write_divergence(config.output, problem, people, model, loss, run.dtype, device)
            raise InputError(f"{problem}; {told}") from problem
    if batches.skipped:
        _log.warning("%s", unread_text(batches.skipped, "replaced by others"))
    run.save_final(final)
    if distributed.is_main():
        _report(config.output)
    return final


def _report(folder: Path) -> None:
    """Write the page of the run; what hinders it does not undo the training."""
    try:
        _log.info("%s", report_training(folder))
    except (InputError, OSError) as problem:
        _log.warning("warning: no page of the training: %s", problem)


@dataclass(frozen=True)
class _Run:
    """What stays the same from the first step of a run to the last."""

    config: Config
    videos: ClipSource
    samples: list[Keyframe]
    sampling: Sampling
    model: ActionDetector
    average: WeightAverage | None
    device: torch.device
    num_steps: int
    content: dict[str, Any]  # of every checkpoint

    @property
    def dtype(self) -> torch.dtype:
        return choose_precision(self.config.precision, self.device)

    def batches(self, first_step: int, num_steps: int | None = None) -> ClipLoader:
        """Those of the steps that are left, or of the next ``num_steps``."""
        last = self.num_steps if num_steps is None else first_step + num_steps
        steps = range(first_step, last)
        return build_batches(self.config, self.videos, self.samples, self.sampling, steps)

    def save(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """What it takes to go on after ``step``."""
        checkpoints.save_step(
            self.config.output,
            step=step,
            keep_last=self.config.keep_last,
            keep_every=self.config.keep_every,
            model=self.model,
            average=self.average,
            optimizer=optimizer,
            **self.content,
        )

    def evaluate(self, measure: Measure, label_map: pd.DataFrame, step: int) -> dict[str, float]:
        """The figures on the split val; the weights of the best ones are kept in best.pt."""
        with self._to_evaluate():
            figures = measure(Detector(self.model, label_map, self.config.precision, self.device))
            checkpoints.save_if_best(
                self.config.output,
                figures,
                self._measured_by,
                step=step,
                model=self.model,
                **self.content,
            )
        self.model.train()
        return figures

    @property
    def _measured_by(self) -> str:
        data = self.config.data
        return repr((self.config.evaluation, data.val, data.eval_label_map))

    def save_final(self, path: Path) -> None:
        """What is evaluated, without what only training needs."""
        with self._to_evaluate():
            if distributed.is_main():
                checkpoints.save_checkpoint(
                    path, step=self.num_steps, model=self.model, **self.content
                )

    @contextmanager
    def _to_evaluate(self) -> Iterator[None]:
        """Lend the model what it is evaluated with: averaged weights, precise batch norms."""
        with ExitStack() as lent:
            if self.average is not None:
                lent.enter_context(self.average.applied(self.model))
            optim = self.config.optim
            if optim.batch_norm == "precise":
                lent.enter_context(lent_norms(self.model))
                parts = self.batches(0, math.ceil(optim.precise_batches / optim.accumulate))
                measure_norms(self.model, parts, dtype=self.dtype, device=self.device)
            yield


@contextmanager
def _curves(config: Config, first_step: int) -> Iterator[Curves | None]:
    """The curves of TensorBoard, if they are wanted."""
    if not config.tensorboard:
        yield None
        return
    with ScalarWriter(config.output / "tensorboard", first_step) as writer:
        yield writer.write


def _require_same_folder(folder: Path) -> None:
    """InputError unless all processes see the same checkpoints: they would train other models."""
    seen = distributed.gather_objects(sorted(path.name for path in folder.glob("*.pt")))
    if any(names != seen[0] for names in seen):
        raise InputError(
            f"output: {folder} is not one folder for all processes: process 0 sees {seen[0]},"
            f" another {next(names for names in seen if names != seen[0])}; put it on a disk that"
            " all machines share"
        )


def _start(
    config: Config, label_map: pd.DataFrame, model: ActionDetector, data: dict[str, Any]
) -> None:
    """Begin a run: take over the weights to start from; write down the config and the data."""
    if config.weights is not None:
        report = start_model(model, config, label_map)
        _log.info("%s: %s", config.weights, report.text().replace("\n", "; "))
    if distributed.is_main():
        (config.output / checkpoints.BEST).unlink(missing_ok=True)  # of a run that was removed
        with atomic_path(config.output / "config.yaml") as temporary:
            temporary.write_text(dump_config(config), encoding="utf-8")
        with atomic_path(config.output / "data.json") as temporary:
            temporary.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
