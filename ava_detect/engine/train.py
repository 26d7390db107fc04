"""The training loop."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType

import torch
from torch import nn

from ava_detect.data.batch import ClipBatch
from ava_detect.engine import distributed
from ava_detect.engine.average import WeightAverage
from ava_detect.engine.logs import ProgressLog
from ava_detect.engine.optim import set_learning_rate
from ava_detect.models.precision import autocast
from ava_eval.errors import InputError

Loss = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, int]]


def train(
    model: nn.Module,
    batches: Iterable[ClipBatch],
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], float],
    loss: Loss,
    *,
    first_step: int = 0,
    num_steps: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    clip_grad: float | None = None,
    average: WeightAverage | None = None,
    log: ProgressLog,
    save_every: int,
    save: Callable[[int], None],
) -> None:
    """Train from ``first_step`` finished steps to ``num_steps``; ``batches`` begin at the first.

    ``model(frames, rois)`` returns logits f[M, C] and ``loss(logits, labels)`` a (sum, count),
    divided by the count over all processes. The forward pass runs under autocast to ``dtype``,
    float32 or bfloat16. Gradients are scaled down to a total norm of ``clip_grad``. ``save(step)``
    is called after every ``save_every`` steps, the last, and one interrupted by a signal.

    Raises Interrupted after SIGINT or SIGTERM, once that step is saved, and TrainingDiverged
    before an update by a loss or gradient that is not finite.
    """
    if dtype not in (torch.float32, torch.bfloat16):
        raise InputError(f"precision: training expects float32 or bfloat16, got {dtype}")
    device = torch.device(device)
    model.train()
    with torch.random.fork_rng(devices=[]):  # a DataLoader draws from the global generator here
        batches = iter(batches)
    with StopSignals() as stop:
        for step in range(first_step, num_steps):
            with log.waiting():
                batch = next(batches, None)
            if batch is None:
                raise ValueError(f"the batches ended after {step} of {num_steps} steps")
            batch = batch.to(device)
            if batch.labels is None:
                raise ValueError(f"step {step + 1}: expected labelled clips to train on")
            lr = schedule(step)
            set_learning_rate(optimizer, lr)
            with autocast(dtype, device):
                logits = model(batch.frames, batch.rois)
            local_sum, local_people = loss(logits, batch.labels)
            local = [local_sum.item(), local_people, len(batch.frames)]
            total = distributed.all_reduce_sum(torch.tensor(local, dtype=torch.float64))
            loss_sum, people, clips = total.tolist()

            optimizer.zero_grad(set_to_none=True)
            (local_sum / max(people, 1)).backward()
            distributed.sum_gradients(model.parameters())
            norm = nn.utils.clip_grad_norm_(model.parameters(), clip_grad or math.inf).item()
            mean_loss = loss_sum / max(people, 1)
            _check_finite(step, mean_loss, norm, batch)
            optimizer.step()

            done = step + 1
            if average is not None:
                average.update(model, done)
            log.step(done, loss=mean_loss, lr=lr, clips=clips, people=people)
            stopping = distributed.any_rank(stop.signal is not None)
            if done % save_every == 0 or done == num_steps or stopping:
                save(done)
            if stopping:
                reason = signal.Signals(stop.signal or signal.SIGTERM)
                log.note(f"{reason.name}: stopped after step {done}, which is saved")
                raise Interrupted(reason)


class Interrupted(SystemExit):
    """A signal ended the run; the process exits with 128 + its number, as shells expect."""

    def __init__(self, reason: signal.Signals) -> None:
        super().__init__(128 + reason)


class TrainingDiverged(InputError):  # noqa: N818
    """The loss or the gradient is not finite; the step is neither made nor saved."""


def _check_finite(step: int, loss: float, norm: float, batch: ClipBatch) -> None:
    if math.isfinite(loss) and math.isfinite(norm):
        return
    rows = batch.rows.tolist()
    some = ", ".join(map(str, rows[:20])) + (", ..." if len(rows) > 20 else "")
    raise TrainingDiverged(
        f"training diverged at step {step + 1}: loss {loss}, gradient norm {norm}, people rows "
        f"{some}; lower the learning rate, lengthen its warm-up, clip the gradient, or "
        "try precision=float32"
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
