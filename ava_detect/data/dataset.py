"""A source of clips and what is wanted of it, joined into samples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from ava_detect.clips import ClipSource
from ava_detect.data.batch import ClipSample
from ava_detect.data.keyframes import Keyframe
from ava_detect.data.transforms import Transform, View


class Sampling(Protocol):
    """Decides which frames make a clip."""

    def frames(
        self,
        keyframe: Keyframe,
        source: ClipSource,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """Numbers i64[T]; InputError where the video is broken or does not show the keyframe.

        ``rng`` is given where clips are drawn for training.
        """
        ...


class ClipDataset(Dataset):
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
        rng = np.random.default_rng(seed)
        numbers, places = np.unique(
            self.sampling.frames(keyframe, self.source, rng), return_inverse=True
        )
        frames = self.source.walk(keyframe.video_id, numbers)
        first = next(frames)
        size = (first.shape[1], first.shape[0])
        view = self.transform(size, keyframe.boxes, rng)
        clip = np.empty((len(numbers), *view.size[::-1], 3), np.uint8)
        for frame, target in zip(chain([first], frames), clip, strict=True):
            view.show(frame, target)
        # Most clips have no frame twice, and are spared a copy.
        return sample_of(keyframe, clip if len(clip) == len(places) else clip[places], view)


def sample_of(keyframe: Keyframe, frames: np.ndarray, view: View) -> ClipSample:
    """The sample of a clip u8[T, h, w, 3] and of the people that its view shows."""
    return ClipSample(
        frames=torch.from_numpy(frames),
        boxes=torch.from_numpy(view.boxes),
        labels=None if keyframe.labels is None else torch.from_numpy(keyframe.labels[view.kept]),
        rows=torch.from_numpy(keyframe.rows[view.kept]),
    )
