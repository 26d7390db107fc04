"""One side of an evaluation as arrays, gathered block by block."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from ava_eval.categorical import Categorical
from ava_eval.csv_parsing import Block
from ava_eval.keyframes import KeyframeNumbers
from ava_eval.labelled_boxes import LabelledBoxes, changes, distinct


@dataclass(frozen=True)
class BoxSet:
    """One side of an evaluation: the ground truth or the detections.

    ``boxes`` are those of listed actions; their keyframes are keys of ``KeyframeNumbers``, and
    ``others`` i64 has the keys of keyframes that only have other rows, and perhaps more. ``counts``
    tells of the ``rows`` read and, among them, of ``two_columns`` (keyframes without a box),
    ``boxes``, ``unscored`` (boxes in seven columns), ``unlisted`` boxes (their action is not in the
    label map), ``fractional`` scores or person ids, and ``odd_times``, not written as whole
    numbers.
    """

    boxes: LabelledBoxes
    others: np.ndarray
    counts: Counter[str]


@dataclass(frozen=True)
class _Part:
    """The boxes of one block. Their keyframes are the rows of ``video`` and ``time``, a row for
    each stretch of one keyframe."""

    video: Categorical
    time: Categorical
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
        self._others = [np.zeros(0, np.int64)]
        self._num_boxes = 0
        self._counts: Counter[str] = Counter()

    def part(self, block: Block) -> _Part:
        """The boxes of a block. Neighbours of equal keyframe and corners become one box."""
        new_frame = changes(block.video.codes, block.time.codes)
        new_box = new_frame | changes(*block.corners)
        frames, firsts = np.flatnonzero(new_frame), np.flatnonzero(new_box)
        places = [self._place.get(action, -1) for action in block.action.categories]
        boxes = LabelledBoxes(
            np.cumsum(new_frame)[firsts] - 1,
            np.stack([corner[firsts] for corner in block.corners], axis=1),
            np.cumsum(new_box, dtype=np.int32) - np.int32(1),
            np.array(places, dtype=self._kind)[block.action.codes],
            block.eighth,
        )
        boxed = block.width > 2
        listed = boxed if min(places) >= 0 else boxed & (boxes.action >= 0)
        counts = _count(block, boxed, listed)
        return _Part(
            Categorical(block.video.categories, block.video.codes[frames]),
            Categorical(block.time.categories, block.time.codes[frames]),
            boxes.where(listed).without_idle_boxes(),
            counts,
        )

    def add(self, part: _Part) -> None:
        """Take the next part, in the order of the file."""
        keys = self._numbers.keys(part.video, part.time)
        without = np.ones(len(keys), dtype=bool)
        without[part.boxes.keyframe] = False
        self._others.append(distinct(keys[without]))
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
        return BoxSet(boxes, distinct(np.concatenate(self._others)), self._counts)


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


def _count(block: Block, boxed: np.ndarray, listed: np.ndarray) -> Counter[str]:
    """The counts of a ``BoxSet``; ``boxed`` and ``listed`` mark rows of the block."""
    num_boxes = int(boxed.sum())
    counts = Counter(
        rows=len(block),
        two_columns=len(block) - num_boxes,
        boxes=num_boxes,
        unscored=int((block.width == 7).sum()),
        unlisted=num_boxes - int(listed.sum()),
        fractional=int((np.rint(block.eighth) != block.eighth).sum()),
    )
    if block.odd_times.any():
        counts["odd_times"] = int(block.odd_times[block.time.codes].sum())
    return counts


def action_kind(ids: np.ndarray) -> type[np.signedinteger]:
    """The integer that numbers actions: 16 bits sort by radix."""
    return np.int16 if len(ids) < 1 << 15 else np.int64
