"""The training loop."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import FrameType

import numpy as np
import torch
from torch import nn

from ava_detect.data.batch import ClipBatch
from ava_detect.engine import distributed
from ava_detect.engine.average import WeightAverage
from ava_detect.engine.logs import ProgressLog
from ava_detect.engine.norms import share_norms
from ava_detect.engine.optim import set_learning_rate
from ava_detect.models.precision import autocast
from ava_eval.errors import InputError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def train(
    model: nn.Module,
    batches: Iterable[ClipBatch],
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], float],
    loss: Loss,
    *,
    first_step: int = 0,
    num_steps: int,
    seed: int = 0,
    accumulate: int = 1,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    clip_grad: float | None = None,
    average: WeightAverage | None = None,
    log: ProgressLog,
    save_every: int,
    save: Callable[[int], None],
    evaluate_every: int | None = None,
    evaluate: Callable[[int], Mapping[str, float]] | None = None,
) -> None:
    """Train from ``first_step`` finished steps to ``num_steps``; ``batches`` begin at the first.

    A step takes ``accumulate`` batches, one after the other. ``model(frames, rois)`` returns logits
    f[M, C] and ``loss(logits, labels)`` a sum over the people, which is divided by the people of
    all batches of all processes. The forward pass runs under autocast to ``dtype``, float32 or
    bfloat16. Gradients are scaled down to a total norm of ``clip_grad``. What is drawn in a step
    (dropout) is a function of ``seed``, the step and the process.

    ``save(step)`` is called after every ``save_every`` steps, the last, before evaluations, and
    after a step interrupted by a signal; ``evaluate(step)`` returns figures to log, after every
    ``evaluate_every`` steps and the last. One that a stopped run still owes is made up for.

    Raises Interrupted after SIGINT or SIGTERM, once that step is saved, and TrainingDiverged
    before an update by a loss or gradient that is not finite.
    """
    if dtype not in (torch.float32, torch.bfloat16):
        raise InputError(f"precision: training expects float32 or bfloat16, got {dtype}")
    device = torch.device(device)
    evaluation = _Evaluation(evaluate, evaluate_every, num_steps, log)
    model.train()
    with torch.random.fork_rng(devices=[]):  # a DataLoader draws from the global generator here
        batches = iter(batches)
    with StopSignals() as stop:
        if first_step and evaluation.is_due(first_step) and not log.was_evaluated(first_step):
            evaluation.make(first_step)
        for step in range(first_step, num_steps):
            with log.waiting():
                parts = _take(batches, accumulate, step, num_steps)
            counts = torch.tensor([[len(p.rows), len(p.frames)] for p in parts]).sum(dim=0)
            people, clips = distributed.all_reduce_sum(counts).tolist()
            lr = schedule(step)
            set_learning_rate(optimizer, lr)

            torch.manual_seed(step_seed(seed, step))
            optimizer.zero_grad(set_to_none=True)
            local_loss = torch.zeros((), device=device, dtype=torch.float64)
            for part in parts:
                part = part.to(device)
                assert part.labels is not None
                with autocast(dtype, device):
                    logits = model(part.frames, part.rois)
                part_loss = loss(logits, part.labels) / max(people, 1)
                part_loss.backward()
                local_loss += part_loss.detach()
            distributed.sum_gradients(model.parameters())
            norm = nn.utils.clip_grad_norm_(model.parameters(), clip_grad or math.inf).item()
            mean_loss = distributed.all_reduce_sum(local_loss.cpu()).item()
            if not (math.isfinite(mean_loss) and math.isfinite(norm)):
                raise TrainingDiverged(step, mean_loss, norm, parts)
            optimizer.step()
            share_norms(model)

            done = step + 1
            if average is not None:
                average.update(model, done)
            log.step(done, loss=mean_loss, lr=lr, clips=clips, people=people)
            stopping = distributed.any_rank(stop.signal is not None)
            if done % save_every == 0 or done == num_steps or evaluation.is_due(done) or stopping:
                save(done)
            if evaluation.is_due(done) and not stopping:
                evaluation.make(done)
                stopping = distributed.any_rank(stop.signal is not None)
            if stopping:
                reason = signal.Signals(stop.signal or signal.SIGTERM)
                log.note(f"{reason.name}: stopped after step {done}, which is saved")
                raise Interrupted(reason)


def step_seed(seed: int, step: int) -> int:
    """Processes must not drop out the same units, and a resumed run no others than before."""
    sequence = np.random.SeedSequence([seed, distributed.rank(), step])
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def _take(batches: Iterator[ClipBatch], count: int, step: int, num_steps: int) -> list[ClipBatch]:
    """The batches of a step."""
    parts = list(islice(batches, count))
    if len(parts) < count:
        raise ValueError(f"the batches ended after {step} of {num_steps} steps")
    if any(part.labels is None for part in parts):
        raise ValueError(f"step {step + 1}: expected labelled clips to train on")
    return parts


@dataclass(frozen=True)
class _Evaluation:
    """When to evaluate, and what to do with the figures."""

    function: Callable[[int], Mapping[str, float]] | None
    every: int | None
    num_steps: int
    log: ProgressLog

    def is_due(self, done: int) -> bool:
        regular = self.every is not None and done % self.every == 0
        return self.function is not None and (regular or done == self.num_steps)

    def make(self, done: int) -> None:
        assert self.function is not None
        with self.log.apart():
            figures = self.function(done)
        self.log.evaluated(done, figures)


class Interrupted(SystemExit):
    """A signal ended the run; the process exits with 128 + its number, as shells expect."""

    def __init__(self, reason: signal.Signals) -> None:
        super().__init__(128 + reason)


class TrainingDiverged(InputError):  # noqa: N818
    """The loss or the gradient is not finite; the step is neither made nor saved.

    Attributes:
        step: finished steps.
        parts: the batches of this process that went into it.
    """

    def __init__(self, step: int, loss: float, norm: float, parts: list[ClipBatch]) -> None:
        self.step = step
        self.parts = parts
        super().__init__(
            f"training diverged at step {step + 1}: loss {loss}, gradient norm {norm}; lower the"
            " learning rate, lengthen its warm-up, clip the gradient, or try precision=float32"
        )


class StopSignals:
    """Notes the first SIGINT or SIGTERM in ``signal``; a second one acts at once, as ever.

    Python lets only the main thread take signals; in another this does nothing.
    """

    def __enter__(self) -> StopSignals:
        self.signal: int | None = None
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self.__exit__()
