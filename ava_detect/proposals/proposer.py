"""Person boxes of keyframes, whatever detector finds them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from ava_detect.boxes import clip_boxes
from ava_detect.clips import ClipSource
from ava_detect.clips.ahead import read_ahead
from ava_detect.proposals.batches import Batch, frame_at, make_batches, read_batches
from ava_detect.timebase import Timebase
from ava_eval.errors import InputError
from ava_eval.tables import BOX, PERSON_BOX_COLUMNS

DECIMALS = 6  # of coordinates and scores in published box files
THINNEST = 1 / 64  # short side of an image to its long side


def long_side(short_side: int) -> int:
    """The most pixels of an image's long side, as 1333 is for 800."""
    return short_side * 5 // 3


def published(url: str) -> dict[str, str]:
    """What a proposer's ``facts`` say of weights that a library publishes."""
    return {"weights": "published", "weights_url": url}


class Proposer(Protocol):
    """Finds people in single images.

    ``facts`` tell its weights, and whatever else makes it another detector, from others' that have
    the same name; JSON values.
    """

    name: str
    facts: dict[str, str]

    def propose(self, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return boxes f32[N,4] (xyxy, pixels of the image) and scores f32[N] of each image.

        Images are u8[H,W,3] RGB and may differ in size. Scores are in [0,1] and descend.
        """
        ...


@dataclass(frozen=True, eq=False)
class Found:
    """The people of a batch.

    ``answers`` has, for each keyframe, rows ``x1 y1 x2 y2 score`` f64[N,5], normalised, best first,
    or why its frame cannot be read.
    """

    batch: Batch
    answers: tuple[np.ndarray | str, ...]

    @property
    def people(self) -> dict[tuple[str, float], np.ndarray]:
        """The rows of the keyframes that were read."""
        return {key: answer for key, answer in self._items() if not isinstance(answer, str)}

    @property
    def unreadable(self) -> dict[tuple[str, float], str]:
        """Why the others were not."""
        return {key: answer for key, answer in self._items() if isinstance(answer, str)}

    def _items(self) -> Iterator[tuple[tuple[str, float], np.ndarray | str]]:
        for time, answer in zip(self.batch.times, self.answers, strict=True):
            yield (self.batch.video_id, time), answer


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
    finding = find_people(
        proposer,
        source,
        timebase,
        make_batches(keyframes, batch_size),
        min_score=min_score,
        max_boxes=max_boxes,
        skip=unreadable is not None,
    )
    parts, done = [], 0
    for found in finding:
        parts.append(found)
        done += len(found.answers)
        if unreadable is not None:
            for (video_id, time), reason in found.unreadable.items():
                unreadable(video_id, time, InputError(reason))
        if progress is not None:
            progress(done, len(keyframes))
    return people_table(keyframes, parts)


def find_people(
    proposer: Proposer,
    source: ClipSource,
    timebase: Timebase,
    batches: Sequence[Batch],
    *,
    min_score: float,
    max_boxes: int,
    skip: bool = False,
) -> Generator[Found, None, None]:
    """Run the detector on each batch, while a thread decodes the next ones.

    What is found in a batch does not depend on the others. A keyframe that cannot be read raises
    InputError, except with ``skip``.
    """
    with closing(read_ahead(read_batches(source, timebase, batches))) as reading:
        for batch, images in reading:
            problems = [image for image in images if isinstance(image, InputError)]
            if problems and not skip:
                raise problems[0]
            shown = [im for im in images if isinstance(im, np.ndarray) and can_show_people(im)]
            boxes = iter(proposer.propose(shown) if shown else ())
            answers = [
                str(image)
                if isinstance(image, InputError)
                else _best_boxes(*next(boxes), image.shape, min_score, max_boxes)
                if can_show_people(image)
                else np.empty((0, 5))
                for image in images
            ]
            yield Found(batch, tuple(answers))


def can_show_people(image: np.ndarray) -> bool:
    """Whether an image is not so thin that resizing would leave nothing of it."""
    return THINNEST * max(image.shape[:2]) <= min(image.shape[:2])


def people_table(keyframes: pd.DataFrame, parts: Iterable[Found]) -> pd.DataFrame:
    """PersonBoxes of what was found, in the order of ``keyframes``."""
    people = {key: rows for found in parts for key, rows in found.people.items()}
    nobody = np.empty((0, 5))
    keys = list(zip(keyframes["video_id"], keyframes["timestamp"], strict=True))
    rows = [people.get((video_id, float(time)), nobody) for video_id, time in keys]
    keyframe = np.repeat(np.arange(len(keys)), [len(some) for some in rows])
    table = pd.DataFrame(np.concatenate([nobody, *rows]), columns=[*BOX, "score"]).assign(
        video_id=keyframes["video_id"].to_numpy()[keyframe],
        timestamp=keyframes["timestamp"].to_numpy(np.float64)[keyframe],
    )
    return table[PERSON_BOX_COLUMNS].astype({"video_id": str})


def read_frame(
    source: ClipSource, timebase: Timebase, video_id: str, timestamp: float
) -> np.ndarray:
    """Return the frame u8[H,W,3] RGB shown at ``timestamp``; InputError outside of the video."""
    number = frame_at(timebase, video_id, timestamp, source.frame_times(video_id))
    return source.read(video_id, np.array([number]))[0]


def _best_boxes(
    boxes: np.ndarray,
    scores: np.ndarray,
    shape: tuple[int, ...],
    min_score: float,
    max_boxes: int,
) -> np.ndarray:
    """Clip pixel boxes to the image, normalise and round them; the best, f64[N,5] with scores."""
    height, width = shape[:2]
    boxes = clip_boxes(np.asarray(boxes, np.float64).reshape(-1, 4), width, height)
    boxes = np.round(boxes / np.array([width, height, width, height]), DECIMALS)
    scores = np.asarray(scores, np.float64)
    whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    keep = np.flatnonzero(whole & (scores >= min_score))[:max_boxes]
    return np.column_stack([boxes[keep], np.round(scores[keep], DECIMALS)])
