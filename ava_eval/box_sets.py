"""From files and tables to ``LabelledBoxes``, by the same steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from ava_eval.box_scores import BoxScores
from ava_eval.csv_blocks import map_blocks, read_blocks
from ava_eval.csv_parsing import Block
from ava_eval.errors import InputError
from ava_eval.input_files import Digest
from ava_eval.keyframes import KeyframeNumbers, keyframe_words
from ava_eval.labelled_boxes import LabelledBoxes, distinct
from ava_eval.origin import Origin
from ava_eval.tables import (
    ANNOTATION_COLUMNS,
    BOX,
    DETECTION_COLUMNS,
    require_columns,
    require_scores,
    require_upright_boxes,
    require_whole_actions,
)
from ava_eval.words import Words

if TYPE_CHECKING:
    import pandas as pd

Check = Callable[[Block, Origin], None]


@dataclass(frozen=True)
class BoxSet:
    """One side of an evaluation: the ground truth or the detections.

    ``boxes`` are those of listed actions; their keyframes are keys of ``KeyframeNumbers``, and
    ``keyframes`` i64 holds the distinct keys of all rows, sorted. ``counts`` tells of the
    ``rows`` read and, among them, of ``two_columns`` (keyframes without a box), ``boxes``,
    ``unscored`` (boxes in seven columns), ``unlisted`` boxes (their action is not in the label
    map), ``outside`` (a corner outside [0, 1]), ``undefined`` (a corner is NaN), ``infinite``
    scores and those that are no whole numbers (``fractional``), and ``odd_times``, not written as
    whole numbers.
    """

    boxes: LabelledBoxes
    keyframes: np.ndarray
    counts: Counter[str]


@dataclass(frozen=True)
class _Part:
    """The boxes of one block. Their keyframes are the rows of ``video`` and ``time``, a row for
    each stretch of one keyframe."""

    video: Words
    time: Words
    boxes: LabelledBoxes
    counts: Counter[str]


class BoxSetBuilder:
    """Gathers blocks into a ``BoxSet``; ``ids`` i64[C] are the listed actions, sorted.

    ``part`` is the work on one block, apart from all others; ``add`` puts it behind the rest.
    """

    def __init__(self, numbers: KeyframeNumbers, ids: np.ndarray) -> None:
        self._numbers, self._place = numbers, {int(action): i for i, action in enumerate(ids)}
        self._kind = action_kind(ids)
        kinds = (np.int64, np.float64, np.int32, self._kind, np.float64)
        self._columns = [_Column(kind) for kind in kinds]
        self._keyframes = [np.zeros(0, np.int64)]
        self._num_boxes = 0
        self._counts: Counter[str] = Counter()

    def part(self, block: Block) -> _Part:
        """The boxes of a block. Neighbours of equal keyframe and corners become one box."""
        new_frame = _changes(block.video.codes) | _changes(block.time.codes)
        new_box = new_frame.copy()
        for corner in block.corners:
            new_box |= _changes(corner)
        frames, firsts = np.flatnonzero(new_frame), np.flatnonzero(new_box)
        places = [self._place.get(action, -1) for action in block.action.values]
        boxes = LabelledBoxes(
            np.cumsum(new_frame)[firsts] - 1,
            np.stack([corner[firsts] for corner in block.corners], axis=1),
            np.cumsum(new_box, dtype=np.int32) - np.int32(1),
            np.array(places, dtype=self._kind)[block.action.codes],
            block.eighth,
        )
        boxed = block.width > 2
        listed = boxed if min(places) >= 0 else boxed & (boxes.action >= 0)
        counts = _count(block, boxes, boxed, listed)
        return _Part(
            Words(block.video.values, block.video.codes[frames]),
            Words(block.time.values, block.time.codes[frames]),
            boxes.where(listed).without_idle_boxes(),
            counts,
        )

    def add(self, part: _Part) -> None:
        """Take the next part, in the order of the file."""
        keys = self._numbers.keys(part.video, part.time)
        self._keyframes.append(distinct(keys))
        self._counts.update(part.counts)
        boxes = replace(
            part.boxes,
            keyframe=keys[part.boxes.keyframe],
            box=part.boxes.box + np.int32(self._num_boxes),
        )
        for column, values in zip(self._columns, boxes.columns(), strict=True):
            column.extend(values)
        self._num_boxes += len(boxes.keyframe)

    def finish(self) -> BoxSet:
        """Everything, in the order in which it came."""
        keyframe, corners, box, action, score = (column.values() for column in self._columns)
        boxes = LabelledBoxes(keyframe, corners.reshape(-1, 4), box, action, score)
        return BoxSet(boxes, distinct(np.concatenate(self._keyframes)), self._counts)


class _Column:
    """An array that grows in place: at full scale a second copy would cost more than the work."""

    def __init__(self, kind: type[np.generic]) -> None:
        self._array, self._size = np.empty(1 << 12, kind), 0

    def extend(self, values: np.ndarray) -> None:
        """Put more values behind the others."""
        end = self._size + values.size
        if end > len(self._array):
            self._array.resize(end * 3 // 2, refcheck=False)
        self._array[self._size : end] = values.ravel()
        self._size = end

    def values(self) -> np.ndarray:
        """All values."""
        return self._array[: self._size]


def _count(
    block: Block, boxes: LabelledBoxes, boxed: np.ndarray, listed: np.ndarray
) -> Counter[str]:
    """The counts of a ``BoxSet``; ``boxes`` has a row for each row of the block."""
    num_boxes = int(boxed.sum())
    counts = Counter(
        rows=len(block),
        two_columns=len(block) - num_boxes,
        boxes=num_boxes,
        unscored=int((block.width == 7).sum()),
        unlisted=num_boxes - int(listed.sum()),
        infinite=int(np.isinf(block.eighth).sum()),
        fractional=int((np.rint(block.eighth) != block.eighth).sum()),
    )
    undefined = np.isnan(boxes.corners).any(axis=1)
    inside = np.all((boxes.corners >= 0) & (boxes.corners <= 1), axis=1)
    if not inside.all():
        counts["outside"] = int(boxes.on_boxes(~inside & ~undefined)[boxed].sum())
        counts["undefined"] = int(boxes.on_boxes(undefined)[boxed].sum())
    if block.odd_times.any():
        counts["odd_times"] = int(block.odd_times[block.time.codes].sum())
    return counts


def _changes(column: np.ndarray) -> np.ndarray:
    """Marks the rows that differ from the one before, and the first."""
    marks = np.ones(len(column), dtype=bool)
    np.not_equal(column[1:], column[:-1], out=marks[1:])
    return marks


def action_kind(ids: np.ndarray) -> type[np.signedinteger]:
    """The integer that numbers actions: 16 bits sort by radix."""
    return np.int16 if len(ids) < 1 << 15 else np.int64


def read_box_set(
    path: str | PathLike[str],
    numbers: KeyframeNumbers,
    ids: np.ndarray,
    check: Check,
    digest: Digest | None = None,
) -> BoxSet:
    """The boxes of a CSV; see ``csv_parsing`` for what it may look like."""
    builder = BoxSetBuilder(numbers, ids)
    for block, part in map_blocks(path, builder.part, digest=digest):
        check(block, Origin(path, block.lines))
        builder.add(part)
    return builder.finish()


def read_keys(
    numbers: KeyframeNumbers, path: str | PathLike[str], digest: Digest | None = None
) -> tuple[np.ndarray, int]:
    """The distinct keys of the keyframes of a CSV, whatever its columns, and its rows."""
    keys, num_rows = [np.zeros(0, dtype=np.int64)], 0
    for block in read_blocks(path, digest=digest):
        keys.append(distinct(numbers.keys(block.video, block.time)))
        num_rows += len(block)
    return distinct(np.concatenate(keys)), num_rows


def truth_set(annotations: pd.DataFrame, numbers: KeyframeNumbers, ids: np.ndarray) -> BoxSet:
    """The boxes of ``Annotations``; their eighth column is ``score`` or else ``person_id``."""
    require_columns(annotations, ANNOTATION_COLUMNS, "ground truth")
    if "score" in annotations.columns:
        eighth = annotations["score"].to_numpy(np.float64)
    else:
        eighth = annotations["person_id"].to_numpy(np.float64)
        eighth = np.where(eighth == -1, 1.0, eighth)
    return _of_table(annotations, eighth, "ground truth", numbers, ids, check_truth)


def found_set(
    detections: pd.DataFrame | BoxScores, numbers: KeyframeNumbers, ids: np.ndarray
) -> BoxSet:
    """The boxes of ``Detections`` or of ``BoxScores``."""
    if isinstance(detections, BoxScores):
        return _of_box_scores(detections, numbers, ids)
    require_columns(detections, DETECTION_COLUMNS, "detections")
    eighth = detections["score"].to_numpy(np.float64)
    return _of_table(detections, eighth, "detections", numbers, ids, check_found)


def _of_table(
    table: pd.DataFrame,
    eighth: np.ndarray,
    name: str,
    numbers: KeyframeNumbers,
    ids: np.ndarray,
    check: Check,
) -> BoxSet:
    import pandas as pd

    require_whole_actions(table, Origin(name))
    video, time = keyframe_words(table)
    codes, actions = pd.factorize(table["action_id"].to_numpy(np.int64))
    block = Block(
        video,
        time,
        ~np.array([value.is_integer() for value in time.values], dtype=bool),
        tuple(table[column].to_numpy(np.float64) for column in BOX),
        Words(actions.tolist(), codes.astype(np.int32)),
        eighth,
        np.broadcast_to(np.int64(8), len(table)),
        first_line=0,
    )
    check(block, Origin(name))
    builder = BoxSetBuilder(numbers, ids)
    if len(block):
        builder.add(builder.part(block))
    return builder.finish()


def _of_box_scores(found: BoxScores, numbers: KeyframeNumbers, ids: np.ndarray) -> BoxSet:
    if np.isnan(found.scores).any():
        row, column = np.argwhere(np.isnan(found.scores))[0].tolist()
        raise InputError(f"scores: row {row}: column {column}: expected a number, not NaN")
    keyframe = numbers.keys(*keyframe_words(found.boxes))
    corners = found.boxes[BOX].to_numpy(np.float64)
    place = np.minimum(np.searchsorted(ids, found.action_ids), len(ids) - 1)
    listed = np.flatnonzero(ids[place] == found.action_ids)
    num_boxes, num_actions = found.scores.shape
    boxes = LabelledBoxes(
        keyframe,
        corners,
        np.repeat(np.arange(num_boxes, dtype=np.int32), len(listed)),
        np.tile(place[listed].astype(action_kind(ids)), num_boxes),
        np.take(found.scores, listed, axis=1).ravel(),
    )
    undefined = np.isnan(corners).any(axis=1)
    inside = np.all((corners >= 0) & (corners <= 1), axis=1)
    counts = Counter(
        rows=num_boxes * num_actions,
        boxes=num_boxes * num_actions,
        unlisted=num_boxes * (num_actions - len(listed)),
        outside=int((~inside & ~undefined).sum()) * num_actions,
        undefined=int(undefined.sum()) * num_actions,
        infinite=int(np.isinf(found.scores).sum()),
    )
    return BoxSet(boxes, distinct(keyframe), counts)


def check_truth(block: Block, origin: Origin) -> None:
    """What scoring refuses in ground truth."""
    require_upright_boxes(dict(zip(BOX, block.corners, strict=True)), origin)
    check_found(block, origin)


def check_found(block: Block, origin: Origin) -> None:
    """What scoring refuses in detections."""
    require_scores({"score": block.eighth}, origin)
