"""Keyframes and a source of clips, joined into samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from ava_detect.clips import ClipSource
from ava_detect.data.batch import ClipSample
from ava_detect.data.keyframes import Keyframe
from ava_detect.data.transforms import Transform
from ava_detect.timebase import Timebase


class AvaClips(Dataset):
    """The clip around each keyframe, with its people.

    An item is asked for by ``(index, seed)`` and depends on nothing else: not on the worker that
    makes it, nor on what was made before.
    """

    def __init__(
        self,
        keyframes: Sequence[Keyframe],
        source: ClipSource,
        timebase: Timebase,
        num_frames: int,
        sampling_rate: int,
        transform: Transform,
    ) -> None:
        self.keyframes = keyframes
        self.source = source
        self.timebase = timebase
        self.num_frames = num_frames
        self.sampling_rate = sampling_rate
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
        duration = self.source.duration(keyframe.video_id)
        self.timebase.require_inside(keyframe.timestamp, keyframe.video_id, duration)
        times = self.timebase.clip_times(keyframe.timestamp, self.num_frames, self.sampling_rate)
        frames = self.source.read(keyframe.video_id, times)
        rng = np.random.default_rng(seed)
        frames, boxes, kept = self.transform(frames, keyframe.boxes, rng)
        labels = None if keyframe.labels is None else torch.from_numpy(keyframe.labels[kept])
        return ClipSample(
            frames=torch.from_numpy(frames),
            boxes=torch.from_numpy(boxes),
            labels=labels,
            rows=torch.from_numpy(keyframe.rows[kept]),
        )
