"""Which sample belongs to which batch of which rank."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.process import BaseProcess
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from ava_detect.clips.ahead import read_ahead
from ava_detect.data.batch import ClipBatch, ClipSample, Unreadable, collate
from ava_detect.data.dataset import ClipDataset
from ava_detect.data.walk import WalkedClips
from ava_eval.errors import InputError

Item = tuple[int, int]
"""(index of the sample, seed of its random choices)"""
Loaded = tuple[ClipBatch | None, list[Unreadable]]
"""(what could be read, what could not)"""
SUBSTITUTES = 100
"""So many samples are tried in the place of one that cannot be read."""

_log = logging.getLogger(__name__)


class TrainBatches(Sampler[list[Item]]):
    """The batches of steps ``first_step`` to ``first_step + num_steps - 1``, for one rank.

    Step s holds the positions s * batch_size ... of an endless row of shuffled epochs; the batch
    is a pure function of (seed, s), so a resumed run goes on exactly. ``batch_size`` counts over
    all ranks, each of which gets every ``world_size``-th item, in ``parts`` batches: the samples of
    a step depend on neither number.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        seed: int,
        first_step: int,
        num_steps: int,
        rank: int = 0,
        world_size: int = 1,
        parts: int = 1,
    ) -> None:
        if num_samples < 1:
            raise ValueError("there is nothing to train on: num_samples is 0")
        if batch_size < 1 or batch_size % (world_size * parts):
            raise ValueError(
                f"batch_size {batch_size} cannot be split over {world_size} ranks x {parts} parts"
            )
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.steps = range(first_step, first_step + num_steps)
        self.rank = rank
        self.world_size = world_size
        self.parts = parts

    def __len__(self) -> int:
        return len(self.steps) * self.parts

    def __iter__(self) -> Iterator[list[Item]]:
        for step in self.steps:
            positions = range(step * self.batch_size, (step + 1) * self.batch_size)
            mine = positions[self.rank :: self.world_size]
            for part in range(self.parts):
                yield [self._item(position) for position in mine[part :: self.parts]]

    def _item(self, position: int) -> Item:
        epoch, place = divmod(position, self.num_samples)
        index = int(_shuffled(self.num_samples, self.seed, epoch)[place])
        return index, int(_generator(self.seed, 1, position).integers(2**63))


@lru_cache(maxsize=2)
def _shuffled(num_samples: int, seed: int, epoch: int) -> np.ndarray:
    return _generator(seed, 0, epoch).permutation(num_samples)


def _generator(seed: int, stream: int, number: int) -> np.random.Generator:
    """Independent random numbers for each (seed, stream, number)."""
    return np.random.default_rng([seed, stream, number])


class ClipLoader:
    """The ``ClipBatch``es of a dataset; neither the number of workers nor their order changes one.

    A keyframe whose clip cannot be read ends the iteration with InputError; with ``skip`` it is
    counted by video in ``skipped`` and, the first of each, warned of. In training another sample
    takes its place, a function of the index and the seed; in evaluation it is missing, and noted in
    ``unreadable``.

    Args:
        dataset: of ``(index, seed)`` samples, or ``WalkedClips``.
        batch_sampler: which samples make which batch; ``WalkedClips`` knows by itself.
        workers: processes that read.
        pin_memory: for copies to a GPU that overlap its work.
        skip: go on without what cannot be read.
    """

    def __init__(
        self,
        dataset: ClipDataset | WalkedClips,
        batch_sampler: TrainBatches | None = None,
        workers: int = 0,
        pin_memory: bool = False,
        skip: bool = False,
    ) -> None:
        self.skip = skip
        self.unreadable: list[Unreadable] = []
        self.skipped = Counter[str]()
        loading: dict[str, Any] = {
            "num_workers": workers,
            "pin_memory": pin_memory,
            "worker_init_fn": _start_worker,
        }
        self._substitutes = not isinstance(dataset, WalkedClips)
        if isinstance(dataset, WalkedClips):
            self._num_batches = dataset.num_batches
            self._loader: DataLoader = DataLoader(
                dataset, batch_size=None, collate_fn=_of_walk, **loading
            )
        else:
            assert batch_sampler is not None
            self._num_batches = len(batch_sampler)
            self._loader = DataLoader(
                _Readable(dataset, skip),
                batch_sampler=batch_sampler,
                collate_fn=_of_samples,
                **loading,
            )

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[ClipBatch]:
        """Begins at once: DataLoader draws from the global random generator here, not later."""
        loading: Iterator[Loaded] = _Loading(self._loader)
        if self._loader.num_workers == 0 and not self._substitutes:
            loading = read_ahead(loading)  # a walk needs no other process to overlap
        return self._batches(loading)

    def _batches(self, loading: Iterator[Loaded]) -> Iterator[ClipBatch]:
        for batch, unread in loading:
            for problem in unread:
                self._note(problem)
            if batch is not None:
                yield batch
            elif self._substitutes:
                tried, last = len(unread), unread[-1].reason
                raise InputError(f"none of {tried} clips tried could be read; the last: {last}")

    @property
    def unreadable_rows(self) -> np.ndarray:
        """The boxes i64[N] that no batch has brought so far because they could not be read."""
        return np.concatenate([np.empty(0, np.int64), *(u.rows for u in self.unreadable)])

    def _note(self, problem: Unreadable) -> None:
        if not self.skip:
            raise InputError(problem.reason)
        if problem.video_id not in self.skipped:
            _log.warning("warning: skipped: %s", problem.reason)
        self.skipped[problem.video_id] += 1
        if not self._substitutes:
            self.unreadable.append(problem)


def count_by_video(unread: Iterable[Unreadable]) -> Counter[str]:
    """How many keyframes of each video could not be read."""
    return Counter(problem.video_id for problem in unread)


def unread_text(skipped: Mapping[str, int], fate: str) -> str:
    """In one line, how many clips of which videos could not be read, and what became of them."""
    some = ", ".join(sorted(skipped)[:3]) + (", ..." if len(skipped) > 3 else "")
    count = sum(skipped.values())
    return f"{count} clips of {len(skipped)} videos ({some}) cannot be read: {fate}"


class _Loading(Iterator[Loaded]):
    """What a DataLoader brings; InputError where a worker has died, told only when waited for.

    torch would tell it in the middle of whatever the main process does, such as a save.
    """

    def __init__(self, loader: DataLoader) -> None:
        others = set(multiprocessing.active_children())
        handler = signal.getsignal(signal.SIGCHLD)
        self._items = iter(loader)
        self._workers = set(multiprocessing.active_children()) - others
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)

    def __next__(self) -> Loaded:
        try:
            return next(self._items)
        except (RuntimeError, OSError, EOFError) as error:  # of a pipe that has lost its writer
            # A worker that is about to be gone may have closed its pipes already.
            wait_for_any([worker.sentinel for worker in self._workers], timeout=1)
            dead = [worker for worker in self._workers if worker.exitcode is not None]
            if not dead:
                raise
            raise InputError(f"data.workers: {_fate(dead[0])}") from error


def _fate(worker: BaseProcess) -> str:
    code = worker.exitcode or 0
    what = f"process {worker.pid}, which read clips,"
    if code >= 0:
        return f"{what} ended with exit code {code}; workers=0 may tell why"
    cause: dict[int, str] = {
        signal.SIGKILL: ", as where memory runs out; take fewer workers",
        signal.SIGBUS: ", as where /dev/shm is full; take fewer workers, or enlarge it",
    }
    name = signal.Signals(-code).name
    return f"{what} was killed by {name}{cause.get(-code, '; workers=0 may tell why')}"


class _Readable(Dataset):
    """Samples, each with the keyframes that could not be read in its place.

    Errors travel from the workers as values: DataLoader would wrap an InputError in a traceback.
    """

    def __init__(self, dataset: ClipDataset, skip: bool) -> None:
        self.dataset = dataset
        self.tries = SUBSTITUTES if skip else 1

    def __getitem__(self, item: Item) -> tuple[ClipSample | None, list[Unreadable]]:
        index, seed = item
        rng = np.random.default_rng([seed, 1])
        unread: list[Unreadable] = []
        for _ in range(self.tries):
            try:
                return self.dataset[index, seed], unread
            except InputError as error:
                unread.append(Unreadable.of(self.dataset.keyframes[index], error))
            index = int(rng.integers(len(self.dataset)))
        return None, unread


def _of_samples(items: list[tuple[ClipSample | None, list[Unreadable]]]) -> Loaded:
    samples = [sample for sample, _ in items if sample is not None]
    unread = [problem for _, problems in items for problem in problems]
    return collate(samples) if samples else None, unread


def _of_walk(item: Any) -> Loaded:
    return (None, [item]) if isinstance(item, Unreadable) else (item, [])


def _start_worker(worker: int) -> None:
    """OpenCV's own threads would compete with the other workers.

    Ctrl-C, and the SIGTERM by which schedulers and torchrun end a job, reach workers too; the main
    process, which saves and ends them, must outlive it with them.
    """
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_by_parent, daemon=True).start()


def _end_by_parent() -> None:
    """Only the main process may end a worker by SIGTERM."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
