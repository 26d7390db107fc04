"""Keyframes and a source of clips, joined into samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from ava_detect.clips import ClipSource
from ava_detect.data.batch import ClipSample
from ava_detect.data.keyframes import Keyframe
from ava_detect.data.transforms import Transform
from ava_detect.timebase import Timebase


@dataclass(frozen=True)
class Sampling:
    """Which frames make the clip of a keyframe; see ``Timebase.clip_frames``."""

    timebase: Timebase
    num_frames: int
    sampling_rate: int

    def frames(self, keyframe: Keyframe, source: ClipSource) -> np.ndarray:
        """Numbers i64[T]; InputError where the video is broken or does not show the keyframe."""
        frame_times = source.frame_times(keyframe.video_id)
        self.timebase.require_inside(keyframe.timestamp, keyframe.video_id, frame_times)
        return self.timebase.clip_frames(
            keyframe.timestamp, frame_times, self.num_frames, self.sampling_rate
        )


class AvaClips(Dataset):
    """The clip around each keyframe, with its people.

    An item is asked for by ``(index, seed)`` and depends on nothing else: not on the worker that
    makes it, nor on what was made before.
    """

    def __init__(
        self,
        keyframes: Sequence[Keyframe],
        source: ClipSource,
        sampling: Sampling,
        transform: Transform,
    ) -> None:
        self.keyframes = keyframes
        self.source = source
        self.sampling = sampling
        self.transform = transform

    def __len__(self) -> int:
        return len(self.keyframes)

    def __getitem__(self, item: tuple[int, int]) -> ClipSample:
        """The sample of keyframe ``index`` under the random choices of ``seed``.

        Raises:
            InputError: the video is missing or broken, or the keyframe lies outside of it.
        """
        index, seed = item
        keyframe = self.keyframes[index]
        clip = self.source.read(keyframe.video_id, self.sampling.frames(keyframe, self.source))
        frames, boxes, kept = self.transform(clip, keyframe.boxes, np.random.default_rng(seed))
        return sample_of(keyframe, frames, boxes, kept)


def sample_of(
    keyframe: Keyframe, frames: np.ndarray, boxes: np.ndarray, kept: np.ndarray
) -> ClipSample:
    """The sample of a transformed clip: ``kept`` i64[M] are the people that it still shows."""
    return ClipSample(
        frames=torch.from_numpy(frames),
        boxes=torch.from_numpy(boxes),
        labels=None if keyframe.labels is None else torch.from_numpy(keyframe.labels[kept]),
        rows=torch.from_numpy(keyframe.rows[kept]),
    )
