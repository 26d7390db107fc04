"""The clips of Kinetics: videos that are one action from end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ava_detect.clips import ClipSource
from ava_detect.data.keyframes import Keyframe
from ava_detect.timebase import Timebase, time_span

WHOLE = np.array([[0, 0, 1, 1]], np.float32)


@dataclass(frozen=True)
class VideoSampling:
    """Which frames make a clip of a whole video.

    A clip of ``num_frames`` begins somewhere from the first moment of the video (place 0) to the
    last one at which all of it is still inside (place 1), at a place drawn ``at_random``, or the
    one that the keyframe has for a timestamp. Of a shorter video the last frame repeats.
    """

    timebase: Timebase
    num_frames: int
    sampling_rate: int
    at_random: bool

    def frames(
        self,
        keyframe: Keyframe,
        source: ClipSource,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray:
        """See ``Sampling``."""
        place = keyframe.timestamp
        if self.at_random:
            assert rng is not None
            place = rng.random()
        times = source.frame_times(keyframe.video_id)
        first, end = time_span(times)
        gap = self.sampling_rate / self.timebase.fps
        start = first + place * max(0.0, end - first - self.num_frames * gap)
        middle = start + self.num_frames // 2 * gap  # the keyframe of ``clip_frames``
        return self.timebase.clip_frames(middle, times, self.num_frames, self.sampling_rate)


def training_videos(videos: pd.DataFrame, action_ids: Sequence[int]) -> list[Keyframe]:
    """A ``Keyframe`` for each row ``video_id action_id``: its "person" is the whole picture.

    ``action_ids`` are those of the columns of the labels, in order.
    """
    columns = pd.Index(action_ids).get_indexer(videos["action_id"])
    labels = np.eye(len(action_ids), dtype=np.float32)[columns]
    return [
        Keyframe(video_id, 0.0, np.array([row]), WHOLE, labels[row : row + 1])
        for row, video_id in enumerate(videos["video_id"])
    ]


def views_in_time(videos: pd.DataFrame, num_clips: int) -> list[Keyframe]:
    """``num_clips`` clips of each video, evenly spread; those of row i have the rows from i * that.

    Clip k of n begins at the place k / n, as in PySlowFast; a single one is in the middle.
    """
    places = [k / num_clips for k in range(num_clips)] if num_clips > 1 else [0.5]
    return [
        Keyframe(video_id, place, np.array([row * num_clips + clip]), WHOLE, None)
        for row, video_id in enumerate(videos["video_id"])
        for clip, place in enumerate(places)
    ]


def mean_of_views(
    rows: np.ndarray, scores: np.ndarray, num_videos: int, num_clips: int
) -> tuple[np.ndarray, np.ndarray]:
    """The mean scores f32[V, C] of the videos i64[V] of whose clips at least one was read.

    ``rows`` i64[N] are those of ``views_in_time`` and ``scores`` f32[N, C].
    """
    video = rows // num_clips
    counts = np.bincount(video, minlength=num_videos)
    sums = np.zeros((num_videos, scores.shape[1]))
    np.add.at(sums, video, scores)
    read = np.flatnonzero(counts)
    return read, (sums[read] / counts[read, None]).astype(np.float32)
