"""Keyframes in batches of one video each, and the frames of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

import numpy as np
import pandas as pd

from ava_detect.clips import ClipSource
from ava_detect.timebase import Timebase
from ava_eval.errors import InputError


@dataclass(frozen=True)
class Batch:
    """Neighbouring keyframes of one video: their times, ascending, as in the tables."""

    video_id: str
    times: tuple[float, ...]


Images = list[np.ndarray | InputError]
"""The frame u8[H,W,3] RGB shown at each keyframe of a batch, or why it cannot be read."""


def make_batches(keyframes: pd.DataFrame, batch_size: int) -> list[Batch]:
    """All keyframes, video by video in the order of the table, each in the order of time.

    A pure function of the table, for a detector's last bits depend on the size of its batch.
    """
    batches = []
    for video_id, rows in keyframes.groupby("video_id", sort=False):
        times = sorted(map(float, rows["timestamp"]))
        for first in range(0, len(times), batch_size):
            batches.append(Batch(str(video_id), tuple(times[first : first + batch_size])))
    return batches


def share(batches: Sequence[Batch], part: int, parts: int) -> list[Batch]:
    """One of several runs of neighbouring batches that have about as many keyframes each."""
    sizes = np.array([len(batch.times) for batch in batches], np.int64)
    middles = np.cumsum(sizes) - sizes / 2
    owners = middles * parts // max(1, sizes.sum())
    return [batch for batch, owner in zip(batches, owners, strict=True) if owner == part]


def read_batches(
    source: ClipSource, timebase: Timebase, batches: Sequence[Batch]
) -> Iterator[tuple[Batch, Images]]:
    """The batches, each with its images; neighbouring ones of a video are decoded in one walk.

    A batch in which that fails is read again by itself, so that what can be read of it does not
    depend on where the walk began.
    """
    for video_id, group in groupby(batches, key=lambda batch: batch.video_id):
        rest = [(batch, _frames_of(source, timebase, batch)) for batch in group]
        while rest:
            done = 0
            try:
                walk = _walk(source, video_id, [frame for _, frames in rest for frame in frames])
                for batch, frames in rest:
                    yield batch, list(islice(walk, len(frames)))
                    done += 1
            except InputError:
                batch, frames = rest[done]
                yield batch, _read_alone(source, video_id, frames)
                done += 1
            rest = rest[done:]


def _frames_of(source: ClipSource, timebase: Timebase, batch: Batch) -> list[int | InputError]:
    """The number of the frame shown at each keyframe, or why there is none."""
    try:
        frame_times = source.frame_times(batch.video_id)
    except InputError as error:
        return [error] * len(batch.times)
    frames: list[int | InputError] = []
    for time in batch.times:
        try:
            frames.append(frame_at(timebase, batch.video_id, time, frame_times))
        except InputError as error:
            frames.append(error)
    return frames


def frame_at(timebase: Timebase, video_id: str, time: float, frame_times: np.ndarray) -> int:
    """The number of the frame shown at a keyframe; InputError outside of the video.

    ``frame_times`` f64[N]: when each frame of the video is shown, in the seconds of the tables.
    """
    timebase.require_inside(time, video_id, frame_times)
    return int(timebase.clip_frames(time, frame_times, 1, 0)[0])


def _walk(
    source: ClipSource, video_id: str, frames: Sequence[int | InputError]
) -> Iterator[np.ndarray | InputError]:
    """The pictures of ascending frames, of which some may be one; errors are passed on."""
    wanted = np.unique([frame for frame in frames if isinstance(frame, int)]).astype(np.int64)
    pictures = zip(wanted, source.walk(video_id, wanted) if len(wanted) else (), strict=True)
    number, picture = -1, np.empty(0)
    for frame in frames:
        if isinstance(frame, InputError):
            yield frame
            continue
        if frame != number:
            number, picture = next(pictures)
        yield picture


def _read_alone(source: ClipSource, video_id: str, frames: Sequence[int | InputError]) -> Images:
    """The pictures of a batch; after one that cannot be read the walk begins anew."""
    images: Images = []
    while len(images) < len(frames):
        try:
            for image in _walk(source, video_id, frames[len(images) :]):
                images.append(image)
        except InputError as error:
            images.append(error)
    return images
