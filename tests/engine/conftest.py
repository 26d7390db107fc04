"""A toy detector, and batches for it that are pure functions of the step."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from ava_detect.data.batch import ClipBatch
from ava_detect.engine.average import WeightAverage
from ava_detect.engine.checkpoint import latest, restore, save_step
from ava_detect.engine.logs import ProgressLog
from ava_detect.engine.losses import action_loss
from ava_detect.engine.optim import LRSchedule, build_optimizer
from ava_detect.engine.train import Loss, train

NUM_CLASSES = 3


class ToyDetector(nn.Module):
    """Mean colour of a clip and the box -> logits, with a norm and dropout as the real one has."""

    def __init__(self, deterministic: bool = False) -> None:
        super().__init__()
        self.hidden = nn.Linear(7, 8)
        self.norm = nn.Identity() if deterministic else nn.BatchNorm1d(8)
        self.dropout = nn.Identity() if deterministic else nn.Dropout(0.5)
        self.classifier = nn.Linear(8, NUM_CLASSES)

    def forward(self, frames: torch.Tensor, rois: torch.Tensor) -> torch.Tensor:
        colours = frames.float().mean(dim=(1, 2, 3)) / 255
        people = torch.cat([colours[rois[:, 0].long()], rois[:, 1:] / 8], dim=1)
        return self.classifier(self.dropout(self.norm(self.hidden(people)).relu()))


def make_batch(step: int) -> ClipBatch:
    """Two clips with two people each."""
    generator = torch.Generator().manual_seed(step)
    return ClipBatch(
        frames=torch.randint(0, 256, (2, 3, 8, 8, 3), dtype=torch.uint8, generator=generator),
        rois=torch.cat(
            [torch.tensor([[0.0], [0.0], [1.0], [1.0]]), 8 * torch.rand(4, 4, generator=generator)],
            dim=1,
        ),
        labels=torch.randint(0, 2, (4, NUM_CLASSES), generator=generator).float(),
        rows=torch.arange(4 * step, 4 * step + 4),
    )


@dataclass
class ToyRun:
    """A run of ten steps in ``folder``, which begins or resumes when ``go`` is called."""

    folder: Path
    optimizer_name: str = "sgd"
    ema: float = 0.0
    save_every: int = 5
    num_steps: int = 10
    lr: float = 0.1
    dtype: torch.dtype = torch.float32
    clip_grad: float | None = 1.0
    deterministic: bool = False  # no norm over a batch and no dropout
    loss: Loss = action_loss
    batch: Callable[[int], ClipBatch] = make_batch
    parts: int = 1  # that each batch is cut into, by its people
    evaluate: Callable[[nn.Module, int], dict[str, float]] | None = None
    on_save: Callable[[int], None] = lambda step: None
    stderr: io.StringIO = field(default_factory=io.StringIO)
    model: ToyDetector | None = None  # of the last `go`, for looking at what an error left

    def go(self) -> dict[str, torch.Tensor]:
        """Weights at the end; with an average, its weights too."""
        torch.manual_seed(0)
        model = self.model = ToyDetector(self.deterministic)
        optimizer = build_optimizer(model, name=self.optimizer_name, lr=self.lr, weight_decay=1e-2)
        average = WeightAverage(model, self.ema) if self.ema else None
        first_step = 0
        if newest := latest(self.folder):
            restore(newest, model=model, optimizer=optimizer, average=average)
            first_step = newest.step

        def save(step: int) -> None:
            content = {"model": model, "optimizer": optimizer, "average": average}
            save_step(self.folder, step=step, config="lr: 0.1\n", meta={"ids": [1, 3]}, **content)
            self.on_save(step)

        with ProgressLog(
            self.num_steps,
            first_step=first_step,
            metrics_path=self.folder / "metrics.jsonl",
            every_steps=1,
            stream=self.stderr,
        ) as log:
            train(
                model,
                self._batches(first_step),
                optimizer,
                LRSchedule("cosine", self.lr, self.num_steps, warmup_steps=3),
                self.loss,
                first_step=first_step,
                num_steps=self.num_steps,
                accumulate=self.parts,
                dtype=self.dtype,
                clip_grad=self.clip_grad,
                average=average,
                log=log,
                save_every=self.save_every,
                save=save,
                evaluate_every=4,
                evaluate=partial(self.evaluate, model) if self.evaluate else None,
            )
        averaged = {} if average is None else {f"average.{k}": v for k, v in average.state.items()}
        return {**model.state_dict(), **averaged}

    def _batches(self, first_step: int) -> Iterable[ClipBatch]:
        return _Loader(
            part_of(self.batch(step), slice(number, None, self.parts))
            for step in range(first_step, self.num_steps)
            for number in range(self.parts)
        )


def part_of(batch: ClipBatch, people: slice) -> ClipBatch:
    """The batch with some of its people only."""
    return replace(
        batch, rois=batch.rois[people], labels=batch.labels[people], rows=batch.rows[people]
    )


@dataclass
class _Loader:
    """Draws from the global generator whenever it is iterated over, as a DataLoader does."""

    batches: Iterator[ClipBatch]

    def __iter__(self) -> Iterator[ClipBatch]:
        torch.rand(1)
        return self.batches


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def toy_batch() -> Callable[[int], ClipBatch]:
    return make_batch


@pytest.fixture
def toy_model() -> ToyDetector:
    torch.manual_seed(0)
    return ToyDetector()


@pytest.fixture
def toy_run(tmp_path: Path) -> Callable[..., ToyRun]:
    """Builds runs, each in the folder of that name."""
    return lambda name="run", **settings: ToyRun(tmp_path / name, **settings)
