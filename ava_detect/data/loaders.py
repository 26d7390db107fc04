"""Which sample belongs to which batch of which rank."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from ava_detect.data.batch import ClipBatch, ClipSample, collate
from ava_detect.data.keyframes import Keyframe
from ava_eval.errors import InputError

Item = tuple[int, int]
"""(index of the sample, seed of its random choices)"""


class TrainBatches(Sampler[list[Item]]):
    """The batches of steps ``first_step`` to ``first_step + num_steps - 1``, for one rank.

    Step s holds the positions s * batch_size ... of an endless row of shuffled epochs; the batch
    is a pure function of (seed, s), so a resumed run goes on exactly. ``batch_size`` counts over
    all ranks, each of which gets every ``world_size``-th item: the samples of a step do not
    depend on the number of ranks.
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
    ) -> None:
        if num_samples < 1:
            raise ValueError("there is nothing to train on: num_samples is 0")
        if batch_size < 1 or batch_size % world_size:
            raise ValueError(f"batch_size {batch_size} cannot be split over {world_size} ranks")
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.steps = range(first_step, first_step + num_steps)
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[Item]]:
        for step in self.steps:
            positions = range(step * self.batch_size, (step + 1) * self.batch_size)
            yield [self._item(position) for position in positions[self.rank :: self.world_size]]

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


class EvalBatches(Sampler[list[Item]]):
    """Each keyframe exactly once over all ranks, in order, never padded.

    A batch holds consecutive keyframes of one video, whose frames have one size; the last batch
    of a video may be smaller. Each rank gets one run of neighbouring batches, so that a video is
    read by few; ranks may differ by one batch.
    """

    def __init__(
        self, keyframes: Sequence[Keyframe], batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        batches: list[list[Item]] = []
        numbers = range(len(keyframes))
        for _, group in groupby(numbers, key=lambda number: keyframes[number].video_id):
            items = [(number, 0) for number in group]
            batches += [items[i : i + batch_size] for i in range(0, len(items), batch_size)]
        first, last = (len(batches) * r // world_size for r in (rank, rank + 1))
        self.batches = batches[first:last]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Item]]:
        return iter(self.batches)


class ClipLoader:
    """The ``ClipBatch``es of a dataset; neither the number of workers nor their order changes one.

    Errors travel from the workers as values: DataLoader would wrap an InputError in a traceback.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_sampler: Sampler[list[Item]],
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self._loader = DataLoader(
            _ErrorsAsValues(dataset),
            batch_sampler=batch_sampler,
            num_workers=workers,
            collate_fn=_collate_or_error,
            pin_memory=pin_memory,
            worker_init_fn=_start_worker,
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[ClipBatch]:
        for batch in self._loader:
            if isinstance(batch, InputError):
                raise batch
            yield batch


class _ErrorsAsValues(Dataset):
    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, item: Item) -> ClipSample | InputError:
        try:
            return self.dataset[item]
        except InputError as error:
            return error


def _collate_or_error(samples: list[ClipSample | InputError]) -> ClipBatch | InputError:
    clips = []
    for sample in samples:
        if isinstance(sample, InputError):
            return sample
        clips.append(sample)
    return collate(clips)


def _start_worker(worker: int) -> None:
    """OpenCV's own threads would compete with the other workers.

    Ctrl-C reaches workers too; the main process, which saves and ends them, must outlive it.
    """
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
