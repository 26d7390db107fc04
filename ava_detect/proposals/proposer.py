"""Person boxes of keyframes, whatever detector finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import pandas as pd

from ava_detect.boxes import clip_boxes
from ava_detect.clips import ClipSource
from ava_detect.timebase import Timebase
from ava_eval.errors import InputError
from ava_eval.tables import BOX, KEYFRAME_COLUMNS, PERSON_BOX_COLUMNS

DECIMALS = 6  # of coordinates and scores in published box files


class Proposer(Protocol):
    """Finds people in single images."""

    name: str

    def propose(self, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return boxes f32[N,4] (xyxy, pixels of the image) and scores f32[N] of each image.

        Images are u8[H,W,3] RGB and may differ in size. Scores are in [0,1] and descend.
        """
        ...


def propose_keyframes(
    proposer: Proposer,
    source: ClipSource,
    keyframes: pd.DataFrame,
    timebase: Timebase,
    *,
    batch_size: int = 8,
    min_score: float = 0.05,
    max_boxes: int = 50,
    progress: Callable[[int, int], None] | None = None,
    unreadable: Callable[[str, float, InputError], None] | None = None,
) -> pd.DataFrame:
    """Run the detector on the frame shown at each keyframe; return a PersonBoxes table.

    Boxes are normalised, clipped to the image and rounded to 6 decimals; what has no area left is
    dropped, as are scores below ``min_score`` and all but the ``max_boxes`` best of a keyframe.
    Rows are in the order of ``keyframes``, best score first. ``progress(done, total)`` is called
    after each batch, in keyframes. A keyframe that cannot be read is told to ``unreadable``, with
    the reason, and has no boxes; without it, it raises InputError.
    """
    found: dict[int, pd.DataFrame] = {}
    batch: list[tuple[int, np.ndarray]] = []

    def flush() -> None:
        if not batch:
            return
        images = [image for _, image in batch]
        for (place, image), boxes in zip(batch, proposer.propose(images), strict=True):
            corners, scores = _best_boxes(*boxes, image.shape, min_score, max_boxes)
            video_id, time = keyframes[KEYFRAME_COLUMNS].iloc[place]
            table = pd.DataFrame(corners, columns=BOX)
            found[place] = table.assign(video_id=video_id, timestamp=float(time), score=scores)
        batch.clear()

    for done, (place, image) in enumerate(walk_keyframes(source, timebase, keyframes), 1):
        if isinstance(image, InputError):
            if unreadable is None:
                raise image
            video_id, time = keyframes[KEYFRAME_COLUMNS].iloc[place]
            unreadable(video_id, time, image)
        else:
            batch.append((place, image))
        if len(batch) == batch_size or done == len(keyframes):
            flush()
            if progress is not None:
                progress(done, len(keyframes))
    nobody = pd.DataFrame(columns=PERSON_BOX_COLUMNS, dtype=np.float64)
    tables = [found[place] for place in sorted(found) if len(found[place])]
    boxes = pd.concat(tables or [nobody], ignore_index=True)
    return boxes[PERSON_BOX_COLUMNS].astype({"video_id": str})


def walk_keyframes(
    source: ClipSource, timebase: Timebase, keyframes: pd.DataFrame
) -> Iterator[tuple[int, np.ndarray | InputError]]:
    """The frame u8[H,W,3] RGB shown at each keyframe, or why it cannot be read.

    Each comes with the place of its keyframe in the table; video by video, each decoded once, in
    the order of time.
    """
    places = pd.Series(np.arange(len(keyframes)), index=keyframes.index)
    for video_id, rows in keyframes.groupby("video_id", sort=False):
        rows = rows.sort_values("timestamp", kind="stable")
        wanted: list[tuple[int, int]] = []  # frame, place
        for place, time in zip(places[rows.index], rows["timestamp"], strict=True):
            try:
                wanted.append((_keyframe_frame(source, timebase, str(video_id), time), place))
            except InputError as error:
                yield place, error
        yield from _walk_video(source, str(video_id), wanted)


def _walk_video(
    source: ClipSource, video_id: str, wanted: list[tuple[int, int]]
) -> Iterator[tuple[int, np.ndarray | InputError]]:
    """The frames of (frame, place) pairs in order; after a failure the walk goes on."""
    while wanted:
        done = 0
        try:
            numbers = np.unique([number for number, _ in wanted])
            for number, frame in zip(numbers, source.walk(video_id, numbers), strict=True):
                while done < len(wanted) and wanted[done][0] == number:
                    yield wanted[done][1], frame
                    done += 1
            return
        except InputError as error:
            yield wanted[done][1], error
            wanted = wanted[done + 1 :]


def read_frame(
    source: ClipSource, timebase: Timebase, video_id: str, timestamp: float
) -> np.ndarray:
    """Return the frame u8[H,W,3] RGB shown at ``timestamp``; InputError outside of the video."""
    return source.read(
        video_id, np.array([_keyframe_frame(source, timebase, video_id, timestamp)])
    )[0]


def _keyframe_frame(source: ClipSource, timebase: Timebase, video_id: str, timestamp: float) -> int:
    """The number of the frame shown at a keyframe."""
    frame_times = source.frame_times(video_id)
    timebase.require_inside(timestamp, video_id, frame_times)
    return int(timebase.clip_frames(timestamp, frame_times, 1, 0)[0])


def _best_boxes(
    boxes: np.ndarray,
    scores: np.ndarray,
    shape: tuple[int, ...],
    min_score: float,
    max_boxes: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Clip pixel boxes to the image, normalise and round them; keep the best."""
    height, width = shape[:2]
    boxes = clip_boxes(np.asarray(boxes, np.float64).reshape(-1, 4), width, height)
    boxes = np.round(boxes / np.array([width, height, width, height]), DECIMALS)
    scores = np.asarray(scores, np.float64)
    whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    keep = np.flatnonzero(whole & (scores >= min_score))[:max_boxes]
    return boxes[keep], np.round(scores[keep], DECIMALS)
