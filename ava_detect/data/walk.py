"""Clips in the order of their videos, each of which is decoded once: for evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from ava_detect.clips import ClipSource
from ava_detect.data.batch import ClipBatch, ClipSample, Unreadable, collate
from ava_detect.data.dataset import Sampling, sample_of
from ava_detect.data.keyframes import Keyframe
from ava_detect.data.transforms import EvalTransform
from ava_eval.errors import InputError

NOBODY = np.empty((0, 4), np.float32)
RUN = 64
"""A worker takes so many keyframes of a video: long enough that what two runs share is little."""


class WalkedClips(IterableDataset):
    """The clips of keyframes, each exactly once over all ranks, as ``ClipDataset`` gives them.

    A window slides over each video, whose frames are decoded and resized once although
    neighbouring clips share most of them. Each rank gets one run of neighbouring keyframes; its
    workers take parts of that in turn. A batch holds keyframes of one video, whose frames have one
    size. Yields batches and, for each clip that cannot be read, ``Unreadable``.

    Args:
        keyframes: sorted by video and time.
        source: of their frames.
        sampling: which frames make a clip.
        transform: without chance.
        batch_size: the most clips of a batch.
        rank, world_size: this process among all.
    """

    def __init__(
        self,
        keyframes: Sequence[Keyframe],
        source: ClipSource,
        sampling: Sampling,
        transform: EvalTransform,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        first, last = (len(keyframes) * r // world_size for r in (rank, rank + 1))
        self.runs = list(_runs(keyframes[first:last]))
        self.source = source
        self.sampling = sampling
        self.transform = transform
        self.batch_size = batch_size

    @property
    def num_batches(self) -> int:
        """How many batches there are if every clip can be read."""
        return sum(-(-len(run) // self.batch_size) for run in self.runs)

    def __iter__(self) -> Iterator[ClipBatch | Unreadable]:
        worker = get_worker_info()
        mine = slice(None) if worker is None else slice(worker.id, None, worker.num_workers)
        for run in self.runs[mine]:
            samples: list[ClipSample] = []
            for sample in self._walk(run):
                if isinstance(sample, Unreadable):
                    yield sample
                    continue
                samples.append(sample)
                if len(samples) == self.batch_size:
                    yield collate(samples)
                    samples = []
            if samples:
                yield collate(samples)

    def _walk(self, run: Sequence[Keyframe]) -> Iterator[ClipSample | Unreadable]:
        """The samples of keyframes of one video, in order; after a failure the walk goes on."""
        while run:
            done = 0
            try:
                for sample in self._slide(run):
                    yield sample
                    done += 1
                return
            except InputError as error:
                yield Unreadable.of(run[done], error)
                run = run[done + 1 :]

    def _slide(self, run: Sequence[Keyframe]) -> Iterator[ClipSample]:
        """One window over the frames of all clips; InputError at the clip that cannot be read."""
        clips = []
        for place, keyframe in enumerate(run):
            try:
                clips.append(self.sampling.frames(keyframe, self.source))
            except InputError:
                if place == 0:
                    raise
                break  # those before it first; then it is the first of its own walk
        needed = np.unique(clips)
        frames = zip(needed.tolist(), self.source.walk(run[0].video_id, needed), strict=True)
        window: dict[int, np.ndarray] = {}
        size = (0, 0)
        for keyframe, clip in zip(run, clips, strict=False):
            window = {number: window[number] for number in window if number >= clip.min()}
            while clip.max() not in window:
                number, frame = next(frames)
                size = (frame.shape[1], frame.shape[0])
                window[number] = self._resized(frame)
            pixels = np.stack([window[number] for number in clip.tolist()])
            yield sample_of(keyframe, pixels, self.transform(size, keyframe.boxes))
        if len(clips) < len(run):
            self.sampling.frames(run[len(clips)], self.source)  # says what is wrong with it

    def _resized(self, frame: np.ndarray) -> np.ndarray:
        view = self.transform((frame.shape[1], frame.shape[0]), NOBODY)
        target = np.empty((*view.size[::-1], 3), np.uint8)
        view.show(frame, target)
        return target


def _runs(keyframes: Sequence[Keyframe]) -> Iterator[list[Keyframe]]:
    """Up to ``RUN`` neighbouring keyframes of one video each."""
    for _, group in groupby(keyframes, key=lambda keyframe: keyframe.video_id):
        video = list(group)
        for first in range(0, len(video), RUN):
            yield video[first : first + RUN]
