"""Time one training step of a detector beside PySlowFast's own, on the same batch.

    python tools/benchmark_training.py --pyslowfast DIR --pytorchvideo DIR [--pairs 7] [--json FILE]

PySlowFast trains as its ``train_net.py`` does: its model, loss and optimizer of the config that the
recipe corresponds to, eager float32. We train with ``ava_detect.engine.train``, in bfloat16 and in
float32. Weights, pixels, boxes and labels are random; a step is forward, loss, backward, norm of
the gradient and update. PySlowFast gets normalised float32 pathways, which its loader makes; we get
bytes, and normalising them is part of our step.

Each variant lives in a process of its own, so that none shares its memory with another, and they
take turns: PySlowFast, ours, ours, PySlowFast, ... The table has medians of wall time, their
spread, the ratio (the median, smallest and largest of the rounds' ratios) and the peak memory: of
the whole process on a CPU, of tensors on a GPU. All of them stay in memory: about 13 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

# Variants import their code when they are built: no process pays for the other side's.

PEERS = {
    "ava/slowfast_r50_8x8": "SLOWFAST_32x2_R50_SHORT",
    "ava/slowfast_r101_8x8_nl": "c2/SLOWFAST_32x2_R101_50_50",
    "ava/slowfast_r101_16x8_nl": "c2/SLOWFAST_64x2_R101_50_50",
}
NUM_CLASSES = 80
ACTIONS_A_PERSON = 2.5
WARM_UP = 2  # rounds that are not counted
THEIRS, DTYPES = "PySlowFast float32", ("bfloat16", "float32")

Step = Callable[[], None]


class Task(NamedTuple):
    """What every variant trains on."""

    recipe: str
    batch: int
    size: int
    boxes: int
    device: str
    pyslowfast: Path
    pytorchvideo: Path | None


class Clips(NamedTuple):
    """Frames u8[B,T,H,W,3], boxes f32[M,5] with the number of their clip, labels f32[M,C]."""

    frames: torch.Tensor
    rois: torch.Tensor
    labels: torch.Tensor


def make_clips(task: Task, num_frames: int) -> Clips:
    """A random batch, the same in every process."""
    rng = np.random.default_rng(0)
    shape = (task.batch, num_frames, task.size, task.size, 3)
    people = task.batch * task.boxes
    low = rng.uniform(0, 0.5, (people, 2))
    corners = np.concatenate([low, low + rng.uniform(0.2, 0.5, (people, 2))], axis=1) * task.size
    rois = np.column_stack([np.repeat(np.arange(task.batch), task.boxes), corners])
    labels = rng.random((people, NUM_CLASSES)) < ACTIONS_A_PERSON / NUM_CLASSES
    return Clips(
        torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8)),
        torch.from_numpy(rois.astype(np.float32)),
        torch.from_numpy(labels.astype(np.float32)),
    )


def build_ours(task: Task, dtype: str) -> Step:
    """Our step, with the settings of the recipe."""
    from ava_detect.assemble import build_label_map, build_model
    from ava_detect.config import load_config
    from ava_detect.data.batch import ClipBatch
    from ava_detect.engine.logs import ProgressLog
    from ava_detect.engine.losses import action_loss
    from ava_detect.engine.optim import build_optimizer
    from ava_detect.engine.train import train
    from ava_detect.models.precision import DTYPES

    config = load_config(task.recipe)
    clips = make_clips(task, config.data.num_frames)
    batch = ClipBatch(*clips, rows=torch.arange(len(clips.rois)))
    model = build_model(config, len(build_label_map(config))).to(task.device)
    optim = config.optim
    optimizer = build_optimizer(
        model,
        name=optim.name,
        lr=optim.lr,
        momentum=optim.momentum,
        nesterov=optim.nesterov,
        weight_decay=optim.weight_decay,
    )
    log = ProgressLog(num_steps=1, device=task.device, stream=io.StringIO())

    def step() -> None:
        train(
            model,
            [batch],
            optimizer,
            lambda _: optim.lr * optim.warmup_factor,
            action_loss,
            num_steps=1,
            dtype=DTYPES[dtype],
            device=task.device,
            clip_grad=optim.clip_grad,
            log=log,
            save_every=1,
            save=lambda _: None,
        )

    return step


def build_theirs(task: Task) -> Step:
    """The step of PySlowFast's ``train_epoch``."""
    from checkouts import import_module
    from peers import peers

    models = dict(peers(pyslowfast=task.pyslowfast, pytorchvideo=task.pytorchvideo))
    peer = models[f"pyslowfast/{PEERS[task.recipe]}"]()
    losses = import_module("slowfast.models.losses", "PySlowFast")
    optim = import_module("slowfast.models.optimizer", "PySlowFast")
    cfg, utils = peer.code.cfg, peer.code.utils
    clips = make_clips(task, peer.num_frames)
    pathways: list[list[torch.Tensor]] = []
    for clip in clips.frames:
        values = utils.tensor_normalize(clip, cfg.DATA.MEAN, cfg.DATA.STD).permute(3, 0, 1, 2)
        # Its data set of AVA gives them so in memory.
        pathways.append(utils.pack_pathway_output(cfg, values.contiguous()))
    inputs = [torch.stack(parts) for parts in zip(*pathways, strict=True)]
    batch = [*inputs, clips.rois, clips.labels]
    del clips, pathways, inputs
    model = peer.model.to(task.device)
    optimizer = optim.construct_optimizer(model, cfg)
    optim.set_lr(optimizer, cfg.SOLVER.WARMUP_START_LR)
    loss_function = losses.get_loss_func(cfg.MODEL.LOSS_FUNC)(reduction="mean")
    model.train()

    def step() -> None:
        *inputs, boxes, labels = (tensor.to(task.device) for tensor in batch)
        optimizer.zero_grad()
        loss = loss_function(model(inputs, boxes), labels)
        if math.isnan(loss.item()):
            raise RuntimeError("PySlowFast's loss is not a number")
        loss.backward()
        optim.get_grad_norm_(model.parameters())
        optimizer.step()
        loss.item()

    return step


def serve(connection: Connection, build: Callable[..., Step], task: Task, *more: str) -> None:
    """A variant's process: makes a step at each word; answers with seconds and peak gigabytes."""
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            step = build(task, *more)
    except (ImportError, ValueError) as error:
        connection.send(str(error))
        return
    connection.send(None)
    from ava_detect.engine.logs import peak_memory_gb

    device = torch.device(task.device)
    with contextlib.suppress(EOFError):  # the main process is gone
        while connection.recv():
            _synchronize(device)
            start = time.perf_counter()
            step()
            _synchronize(device)
            connection.send((time.perf_counter() - start, peak_memory_gb(device)))


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass
class Variant:
    """A process that waits for its turn, and what its steps took."""

    name: str
    process: Any
    connection: Connection
    seconds: list[float] = field(default_factory=list)
    gigabytes: float = 0.0

    @classmethod
    def start(cls, name: str, build: Callable[..., Step], task: Task, *more: str) -> Variant:
        """SystemExit where it cannot be built."""
        context = multiprocessing.get_context("spawn")
        ours, its = context.Pipe()
        process = context.Process(target=serve, args=(its, build, task, *more), daemon=True)
        process.start()
        its.close()  # so that the end of the process is seen here
        error = ours.recv()
        if error is not None:
            raise SystemExit(f"benchmark_training.py: {error}")
        return cls(name, process, ours)

    def step(self) -> None:
        """One step of training; SystemExit where the process has ended, as for want of memory."""
        try:
            self.connection.send(True)
            seconds, self.gigabytes = self.connection.recv()
        except (EOFError, BrokenPipeError):
            self.process.join()
            code = self.process.exitcode
            raise SystemExit(f"benchmark_training.py: {self.name}: ended with {code}") from None
        self.seconds.append(seconds)

    def stop(self) -> None:
        """End the process."""
        self.connection.send(False)
        self.process.join()

    def row(self, peer: Variant) -> str:
        """Its line of the table."""
        spread = f"{min(self.seconds):.2f}-{max(self.seconds):.2f}"
        text = f"{self.name:<22}{statistics.median(self.seconds):>9.3f}{spread:>14}"
        ratios = self.ratios(peer)
        text += f"{statistics.median(ratios):>9.2f}{f'{min(ratios):.2f}-{max(ratios):.2f}':>14}"
        return f"{text}{self.gigabytes:>9.2f}"

    def ratios(self, peer: Variant) -> list[float]:
        """How many times as fast as the peer in the same round."""
        return [a / b for a, b in zip(peer.seconds, self.seconds, strict=True)]


def measure(task: Task, pairs: int) -> list[Variant]:
    """Steps of all variants in turn; the peer first."""
    variants = [Variant.start(THEIRS, build_theirs, task)]
    variants += [Variant.start(f"ours {dtype}", build_ours, task, dtype) for dtype in DTYPES]
    for _ in range(WARM_UP + pairs):
        for variant in variants:
            variant.step()
    for variant in variants:
        variant.stop()
        del variant.seconds[:WARM_UP]
    return variants


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pyslowfast", type=Path, required=True, metavar="DIR", help="checkout")
    parser.add_argument(
        "--pytorchvideo",
        type=Path,
        metavar="DIR",
        help="checkout; not needed where it is installed",
    )
    parser.add_argument("--recipe", choices=PEERS, default=next(iter(PEERS)))
    parser.add_argument("--batch", type=int, default=2, help="clips of a step")
    parser.add_argument("--size", type=int, default=224, help="height and width of the clips")
    parser.add_argument("--boxes", type=int, default=3, help="people of a clip")
    parser.add_argument("--pairs", type=int, default=7, help="counted steps of each variant")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    task = Task(**{name: getattr(arguments, name) for name in Task._fields})
    print(f"{task.recipe} and PySlowFast's {PEERS[task.recipe]}, one step on {task.device}")
    threads = torch.get_num_threads()
    print(f"{task.batch} clips of {task.size}x{task.size}, {task.boxes} people each", end="")
    print(f", torch {torch.__version__}, {threads} threads", flush=True)
    variants = measure(task, arguments.pairs)
    print(f"{'':<22}{'seconds':>9}{'spread':>14}{'ratio':>9}{'spread':>14}{'GB':>9}")
    for variant in variants:
        print(variant.row(variants[0]))
    if arguments.json:
        figures = {
            variant.name: {
                "seconds": [round(value, 4) for value in variant.seconds],
                "ratio": round(statistics.median(variant.ratios(variants[0])), 3),
                "gigabytes": round(variant.gigabytes, 3),
            }
            for variant in variants
        }
        arguments.json.write_text(json.dumps(figures, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
