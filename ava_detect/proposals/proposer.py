"""Person boxes of keyframes, whatever detector finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import pandas as pd

from ava_detect.boxes import clip_boxes
from ava_detect.clips import ClipSource
from ava_detect.timebase import Timebase
from ava_eval.tables import BOX, PERSON_BOX_COLUMNS

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
) -> pd.DataFrame:
    """Run the detector on the frame shown at each keyframe; return a PersonBoxes table.

    Boxes are normalised, clipped to the image and rounded to 6 decimals; what has no area left is
    dropped, as are scores below ``min_score`` and all but the ``max_boxes`` best of a keyframe.
    Rows are in the order of ``keyframes``, best score first. ``progress(done, total)`` is called
    after each batch, in keyframes.
    """
    wanted = list(zip(keyframes["video_id"], keyframes["timestamp"], strict=True))
    tables = []
    for first in range(0, len(wanted), batch_size):
        batch = wanted[first : first + batch_size]
        images = [read_frame(source, timebase, video_id, time) for video_id, time in batch]
        for (video_id, time), image, found in zip(
            batch, images, proposer.propose(images), strict=True
        ):
            boxes, scores = _best_boxes(*found, image.shape, min_score, max_boxes)
            table = pd.DataFrame(boxes, columns=BOX)
            tables.append(table.assign(video_id=video_id, timestamp=float(time), score=scores))
        if progress is not None:
            progress(first + len(batch), len(wanted))
    nobody = pd.DataFrame(columns=PERSON_BOX_COLUMNS, dtype=np.float64)
    found = pd.concat([table for table in tables if len(table)] or [nobody], ignore_index=True)
    return found[PERSON_BOX_COLUMNS].astype({"video_id": str})


def read_frame(
    source: ClipSource, timebase: Timebase, video_id: str, timestamp: float
) -> np.ndarray:
    """Return the frame u8[H,W,3] RGB shown at ``timestamp``; InputError outside of the video."""
    timebase.require_inside(timestamp, video_id, source.duration(video_id))
    return source.read(video_id, timebase.clip_times(timestamp, 1, 0))[0]


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
