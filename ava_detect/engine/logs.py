"""How a long job speaks: one updating line on a terminal, plain lines elsewhere, and a file."""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

import torch

from ava_detect.engine import distributed
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError

Batch = TypeVar("Batch")
Curves = Callable[[int, Mapping[str, Any], str], None]
"""Takes the step, figures at it, and the group that they belong to."""
VAL = "val_"  # how the names of an evaluation's figures begin


class StatusLine:
    """Where a job is, on standard error; silent on all processes but the main one.

    On a terminal the line is rewritten up to five times a second, elsewhere a plain line appears
    every ``every_seconds``.
    """

    def __init__(self, stream: TextIO | None = None, every_seconds: float = 10.0) -> None:
        self.stream = stream or sys.stderr
        self.on_terminal = self.stream.isatty()
        self._pause = 0.2 if self.on_terminal else every_seconds
        self._spoke = time.perf_counter()
        self._open = False  # an unfinished line stands on the terminal

    def due(self) -> bool:
        """Whether enough time has passed for ``show`` to be welcome."""
        return time.perf_counter() - self._spoke >= self._pause

    def show(self, text: str) -> None:
        """Replace the line on a terminal, write the next one elsewhere."""
        if self.on_terminal:
            width = shutil.get_terminal_size().columns
            self._write(f"\r\x1b[2K{text[: width - 1]}")
            self._open = True
        else:
            self._write(f"{text}\n")
        self._spoke = time.perf_counter()

    def note(self, text: str) -> None:
        """Write a line that stays."""
        self.close()
        self._write(f"{text}\n")

    def close(self) -> None:
        """End the updating line, if one stands."""
        if self._open:
            self._write("\n")
            self._open = False

    def _write(self, text: str) -> None:
        if distributed.is_main():
            self.stream.write(text)
            self.stream.flush()


def track(batches: Iterable[Batch], what: str, line: StatusLine | None) -> Iterator[Batch]:
    """Yield ``batches``, showing on ``line`` how many are done, their pace and the time left.

    The pace is the seconds of a batch, and how many of these the loop waited for data.
    """
    start = before = time.perf_counter()
    waited = 0.0
    total = len(batches) if isinstance(batches, Sized) else None
    for done, batch in enumerate(batches, 1):
        waited += time.perf_counter() - before
        yield batch
        before = time.perf_counter()
        if line is not None and (line.due() or done == total):
            seconds = before - start
            left = f"  {_clock(seconds / done * (total - done))} left" if total else ""
            of = f"/{total}" if total else ""
            line.show(f"{what} {done}{of} batches  {_pace(seconds, waited, done)} a batch{left}")
    if line is not None:
        line.close()


class ProgressLog(StatusLine):
    """Progress of a training run; use as a context manager.

    A line of ``metrics_path`` (JSON lines) covers an interval, which ends after ``every_steps``
    steps or ``every_seconds`` seconds, whichever comes first, and with the run. Lines of steps
    after ``first_step``, which a resumed run does again, are removed at the start. ``skipped``
    tells how many clips of this process could not be read so far; the log counts them. ``curves``
    get the same figures.
    """

    def __init__(
        self,
        num_steps: int,
        *,
        first_step: int = 0,
        metrics_path: str | os.PathLike[str] | None = None,
        device: torch.device | str = "cpu",
        every_steps: int = 50,
        every_seconds: float = 10.0,
        stream: TextIO | None = None,
        skipped: Callable[[], int] = lambda: 0,
        curves: Curves | None = None,
    ) -> None:
        super().__init__(stream, every_seconds)
        self.skipped = skipped
        self._curves = curves
        self.num_steps = num_steps
        self.every_steps = every_steps
        self.every_seconds = every_seconds
        self.device = torch.device(device)
        self._first_step = first_step
        self._metrics = None
        if metrics_path is not None and distributed.is_main():
            _truncate(Path(metrics_path), first_step)
            self._metrics = Path(metrics_path)
        self._start = time.perf_counter()
        self._begin_interval(self._start)

    def __enter__(self) -> ProgressLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as waiting for data."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Leave the time of the block, as of an evaluation, out of that of the steps."""
        start = time.perf_counter()
        yield
        self._since += time.perf_counter() - start

    def step(self, done: int, *, loss: float, lr: float, clips: int, people: int) -> None:
        """Take in the figures of the step that makes it ``done`` finished ones, over all ranks.

        ``loss`` is the mean over the step's people; that of the interval is the mean over all of
        its people, and not known where crops have shown nobody.
        """
        self._steps += 1
        self._loss += loss * people
        self._clips += clips
        self._people += people
        now = time.perf_counter()
        seconds = now - self._since
        ends = (
            self._steps >= self.every_steps
            or seconds >= self.every_seconds
            or done == self.num_steps
        )
        if not ends and not (self.on_terminal and self.due()):
            return
        steps_per_s = (done - self._first_step) / (now - self._start)
        figures = {
            "step": done,
            "loss": self._loss / self._people if self._people else None,
            "lr": lr,
            "clips_per_s": round(self._clips / seconds, 3),
            "people_per_s": round(self._people / seconds, 3),
            "skipped_clips": self.skipped(),
            "step_s": round(seconds / self._steps, 4),
            "data_s": round(self._waited / self._steps, 4),
            "data_time_share": round(self._waited / seconds, 4),
            "memory_gb": round(peak_memory_gb(self.device), 3),
            "eta_s": round((self.num_steps - done) / steps_per_s, 1),
        }
        self.show(_sentence(figures, self.num_steps))
        if ends:
            self._write_metrics(figures, "train")
            self._begin_interval(now)

    def evaluated(self, done: int, figures: Mapping[str, float]) -> None:
        """Take in the figures of an evaluation after ``done`` steps; see ``was_evaluated``."""
        told = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self.note(f"evaluated after step {done}/{self.num_steps}  {told}")
        known = {k: None if math.isnan(v) else v for k, v in figures.items()}  # JSON has no NaN
        self._write_metrics({"step": done, **{VAL + k: v for k, v in known.items()}}, "val")

    def was_evaluated(self, step: int) -> bool:
        """Whether the lines of the run have an evaluation after ``step`` steps."""
        lines = [] if self._metrics is None else self._metrics.read_text("utf-8").splitlines()
        found = [name for line in lines for name in _figures_of(step, line)]
        return distributed.any_rank(any(name.startswith(VAL) for name in found))

    def _write_metrics(self, figures: dict[str, Any], group: str) -> None:
        """Add a line to the metrics, and points to the curves of the group."""
        if self._metrics is not None:
            try:
                with self._metrics.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(figures) + "\n")
            except OSError as error:
                reason = f"{self._metrics}: cannot be written: {error.strerror}"
                raise InputError(reason) from error
        if self._curves is not None:
            own = {k.removeprefix(VAL): v for k, v in figures.items() if k != "step"}
            self._curves(figures["step"], own, group)

    def _begin_interval(self, now: float) -> None:
        self._since = now
        self._waited = self._loss = 0.0
        self._steps = self._clips = self._people = 0


def peak_memory_gb(device: torch.device) -> float:
    """Largest memory so far in 1e9 bytes: of tensors on a GPU, of this process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9


def _sentence(figures: dict[str, Any], num_steps: int) -> str:
    loss = "of nobody" if figures["loss"] is None else f"{figures['loss']:.4f}"
    return (
        f"train {figures['step']}/{num_steps}  loss {loss}  lr {figures['lr']:.2e}  "
        f"{figures['clips_per_s']:.1f} clips/s  {figures['people_per_s']:.1f} people/s  "
        f"{_pace(figures['step_s'], figures['data_s'], 1)} a step  {figures['memory_gb']:.1f} GB  "
        f"{_clock(figures['eta_s'])} left"
    )


def _pace(seconds: float, waited: float, count: int) -> str:
    """Seconds of one of ``count`` rounds, and of these, those waited for data."""
    return f"{seconds / count:.3f} s (data {waited / count:.3f})"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _truncate(path: Path, step: int) -> None:
    """Keep the lines of ``path`` up to ``step``, without one that a killed run left unfinished."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return
    with path.open(encoding="utf-8", errors="replace") as lines, atomic_path(path) as temporary:
        temporary.write_text("".join(line for line in lines if _is_up_to(step, line)))


def _figures_of(step: int, line: str) -> dict[str, Any]:
    figures = json.loads(line)
    return figures if figures["step"] == step else {}


def _is_up_to(step: int, line: str) -> bool:
    try:
        return line.endswith("\n") and json.loads(line)["step"] <= step
    except (ValueError, TypeError, KeyError):
        return False
