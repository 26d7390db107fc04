"""The cap on the rows of a keyframe, and the order in which the official reader leaves them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ava_eval.labelled_boxes import LabelledBoxes, run_starts, stable_order

CAPACITY = 50  # the official one, since 2019
_CHUNK = 1 << 17  # rows looked at together


def heap_order(boxes: LabelledBoxes, rows: np.ndarray, capacity: int | None = None) -> np.ndarray:
    """The rows of one keyframe as the official ``read_csv`` keeps and orders them.

    ``rows`` i64[K] are its row numbers in file order; returns those kept, by descending score.
    Equal scores come in the order of CPython's heap array, for which the heap itself is run.
    """
    x1, y1, x2, y2 = boxes.corners[boxes.box[rows]].T.tolist()
    columns = (boxes.score[rows].tolist(), boxes.action[rows].tolist(), y1, x1, y2, x2)
    items = list(zip(*columns, strict=True))
    row_of = {id(item): row for item, row in zip(items, rows.tolist(), strict=True)}
    heap: list[tuple] = []
    for item in items:
        if capacity is None or len(heap) < capacity:
            heapq.heappush(heap, item)
        elif item[0] > heap[0][0]:
            heapq.heapreplace(heap, item)
    heap.sort(key=lambda item: -item[0])
    return np.array([row_of[id(item)] for item in heap], dtype=np.int64)


def within_capacity(boxes: LabelledBoxes, capacity: int = CAPACITY) -> np.ndarray:
    """Mark the rows that survive the cap of ``capacity`` rows a keyframe -> bool[N].

    With T the capacity-th largest score of a keyframe, the rows above T survive, and of the rows at
    T that are among the first ``capacity`` in the file with a score of at least T, the largest
    (action, y1, x1, y2, x2): what the official heap leaves, without running it.
    """
    frame = boxes.keyframe_of_row
    undefined = boxes.undefined
    starts = _starts_if_together(frame, int(boxes.keyframe.max(initial=-1)) + 1)
    if starts is None:
        frames = _Frames(np.bincount(frame), frame)
        grouped = boxes.score[stable_order(frame)]
        return _within_capacity(boxes, frames, grouped, capacity, undefined)
    # A few keyframes at a time stay in the processor's cache.
    size = np.diff(starts, append=len(boxes))
    cuts = np.searchsorted(starts, np.arange(_CHUNK, len(boxes), _CHUNK))
    edges = [0, *np.unique(cuts).tolist(), len(starts)]
    rows = [*starts.tolist(), len(boxes)]
    keep = [np.ones(0, dtype=bool)]
    for i, j in pairwise(edges):
        some = boxes.where(slice(rows[i], rows[j]))
        keep.append(_within_capacity(some, _Frames(size[i:j]), some.score, capacity, undefined))
    return np.concatenate(keep)


def _starts_if_together(frame: np.ndarray, num_frames: int) -> np.ndarray | None:
    """Where each keyframe begins if the rows of each lie together, else None."""
    if np.count_nonzero(frame[1:] != frame[:-1]) >= num_frames:
        return None
    starts = run_starts(frame)
    return starts if np.bincount(frame[starts]).max(initial=0) <= 1 else None


@dataclass(frozen=True)
class _Frames:
    """The keyframes of some rows: ``size`` i64[F] rows of each, and the number of each row's,
    ``of_row`` i[N], or None where the rows lie keyframe by keyframe."""

    size: np.ndarray
    of_row: np.ndarray | None = None

    @property
    def starts(self) -> np.ndarray:
        """Where each begins, i64[F], if they lie keyframe by keyframe."""
        return np.cumsum(self.size) - self.size

    @property
    def numbers(self) -> np.ndarray:
        """The keyframe of each row, i[N]."""
        if self.of_row is not None:
            return self.of_row
        return np.repeat(np.arange(len(self.size)), self.size)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """For each row the value of its keyframe."""
        return np.repeat(values, self.size) if self.of_row is None else values[self.of_row]

    def count(self, mask: np.ndarray) -> np.ndarray:
        """The marked rows of each keyframe, i64[F]."""
        if self.of_row is None:
            return np.add.reduceat(mask, self.starts, dtype=np.int64)
        return np.bincount(self.of_row[mask], minlength=len(self.size))


def _within_capacity(
    boxes: LabelledBoxes,
    frames: _Frames,
    grouped: np.ndarray,
    capacity: int,
    undefined: np.ndarray,
) -> np.ndarray:
    """The same where ``grouped`` f[N] has the scores keyframe by keyframe.

    ``undefined`` bool[B] marks boxes with NaN: tuples with it have no order, so that only the heap
    itself knows what it leaves.
    """
    threshold = frames.spread(_thresholds(grouped, frames, capacity))
    keep = boxes.score > threshold
    equal = boxes.score == threshold
    room = capacity - frames.count(keep)
    contested = frames.count(equal) > room
    keep |= equal
    if not contested.any():
        return keep
    number = frames.numbers
    if undefined.any():
        odd = np.zeros(len(contested), dtype=bool)
        odd[number[boxes.on_boxes(undefined)]] = True
        rows = np.flatnonzero((odd & contested)[number])
        rows = rows[stable_order(number[rows])]
        keep[rows] = False
        for mine in np.split(rows, run_starts(number[rows])[1:]) if len(rows) else ():
            keep[heap_order(boxes, mine, capacity)] = True
        contested &= ~odd
    rows = np.flatnonzero(keep & contested[number])
    rows = rows[stable_order(number[rows])]
    keep[rows] = _survivors(boxes.where(rows), number[rows], equal[rows], room, capacity)
    return keep


def _thresholds(grouped: np.ndarray, frames: _Frames, capacity: int) -> np.ndarray:
    """The capacity-th largest score of each keyframe, -inf where there are fewer -> f[F]."""
    size, starts = frames.size, frames.starts
    threshold = np.full(len(size), -np.inf, dtype=grouped.dtype)
    for number in np.unique(size[size > capacity]).tolist():
        full = np.flatnonzero(size == number)
        place = number - capacity
        for some in np.array_split(full, len(full) * number // _CHUNK + 1):
            scores = grouped[starts[some][:, None] + np.arange(number)]
            threshold[some] = np.partition(scores, place, axis=1)[:, place]
    return threshold


def _survivors(
    boxes: LabelledBoxes, frame: np.ndarray, equal: np.ndarray, room: np.ndarray, capacity: int
) -> np.ndarray:
    """Mark the survivors among the rows that reach their keyframe's threshold -> bool[M].

    ``frame`` i64[M] are their keyframes, ascending; ``equal`` bool[M] marks those at the threshold,
    of which ``room`` i64[F] survive in each keyframe.
    """
    candidate = np.flatnonzero(equal & (_position(frame) < capacity))
    x1, y1, x2, y2 = boxes.corners[boxes.box[candidate]].T
    order = np.lexsort((x2, y2, x1, y1, boxes.action[candidate], frame[candidate]))[::-1]
    candidate = candidate[order]  # the largest first
    keep = ~equal
    keep[candidate[_position(frame[candidate]) < room[frame[candidate]]]] = True
    return keep


def within_class_capacity(boxes: LabelledBoxes, capacity: int) -> np.ndarray:
    """Mark the best ``capacity`` rows of each keyframe and class -> bool[N].

    Of equal scores those that ``numpy.argsort`` puts last, as in the official script of 2018.
    """
    group = boxes.cell_of_row(int(boxes.action.max(initial=0)) + 1)
    numbers, size = np.unique(group, return_counts=True)
    keep = np.ones(len(boxes), dtype=bool)
    for number in numbers[size > capacity]:
        rows = np.flatnonzero(group == number)
        keep[rows[np.argsort(boxes.score[rows])[::-1][capacity:]]] = False
    return keep


def _position(group: np.ndarray) -> np.ndarray:
    """The position of each element in its run of equal values of ``group``."""
    starts = run_starts(group)
    return np.arange(len(group)) - np.repeat(starts, np.diff(starts, append=len(group)))
