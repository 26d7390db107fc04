"""Boxes and their labels as arrays: what the metric computes on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelledBoxes:
    """Boxes, and a row for each action of each box, in the order of their file.

    ``keyframe`` i[B] numbers the keyframes and ``corners`` f[B,4] is x1 y1 x2 y2. Row ``i`` says
    that box ``box[i]`` (i32[N]) has the action ``action[i]``, the place of its id among the sorted
    ids of the label map, with ``score[i]`` (f[N]). A person with 60 scores is one box, 60 rows.
    """

    keyframe: np.ndarray
    corners: np.ndarray
    box: np.ndarray
    action: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.box)

    @classmethod
    def one_row_each(
        cls, keyframe: np.ndarray, corners: np.ndarray, score: np.ndarray | None = None
    ) -> LabelledBoxes:
        """Boxes of a single class."""
        size = len(keyframe)
        score = np.ones(size) if score is None else score
        return cls(keyframe, corners, np.arange(size), np.zeros(size, dtype=np.int64), score)

    @property
    def keyframe_of_row(self) -> np.ndarray:
        """The keyframe of each row, i[N]."""
        return self.keyframe[self.box]

    def cell_of_row(self, num_actions: int) -> np.ndarray:
        """A number for each keyframe and action, from 0, of each row."""
        cells = (int(self.keyframe.max(initial=0)) + 1) * num_actions
        first = self.keyframe.astype(np.int32 if cells < 1 << 31 else np.int64) * num_actions
        return first[self.box] + self.action

    def where(self, keep: np.ndarray | slice) -> LabelledBoxes:
        """The rows of a mask, of row numbers or of a slice; the boxes stay."""
        if not isinstance(keep, slice) and keep.dtype == bool:
            if keep.all():
                return self
            keep = np.flatnonzero(keep)
        return LabelledBoxes(
            self.keyframe, self.corners, self.box[keep], self.action[keep], self.score[keep]
        )

    @property
    def undefined(self) -> np.ndarray:
        """Marks the boxes with a corner that is NaN -> bool[B]."""
        if not np.isnan(self.corners.min(initial=0)):  # one pass, where nearly all files end
            return np.zeros(len(self.corners), dtype=bool)
        return np.isnan(self.corners).any(axis=1)

    def columns(self) -> tuple[np.ndarray, ...]:
        """The arrays, in the order of the constructor."""
        return self.keyframe, self.corners, self.box, self.action, self.score

    def without_idle_boxes(self) -> LabelledBoxes:
        """The same rows; boxes without a row are gone and the others numbered anew."""
        used = np.zeros(len(self.keyframe), dtype=bool)
        used[self.box] = True
        if used.all():
            return self
        number = np.cumsum(used, dtype=np.int32) - np.int32(1)
        return LabelledBoxes(
            self.keyframe[used], self.corners[used], number[self.box], self.action, self.score
        )

    def with_distinct_boxes(self) -> LabelledBoxes:
        """The same rows; boxes of equal keyframe and corners are one, in order of keyframe."""
        order = np.lexsort((*self.corners.T, self.keyframe))
        corners, keyframe = self.corners[order], self.keyframe[order]
        new = changes(keyframe, *corners.T)
        number = np.empty(len(order), dtype=np.int32)
        number[order] = np.cumsum(new) - 1
        return LabelledBoxes(keyframe[new], corners[new], number[self.box], self.action, self.score)

    def on_boxes(self, flags: np.ndarray) -> np.ndarray:
        """A mask bool[N] of the rows from one of the boxes bool[B]."""
        return flags[self.box]


def stable_order(numbers: np.ndarray) -> np.ndarray:
    """``np.argsort(numbers, kind="stable")`` for integers from 0 on, in linear time.

    NumPy sorts 16-bit integers by radix; larger ones are taken 16 bits at a time.
    """
    if numbers.dtype.itemsize <= 2:
        return np.argsort(numbers, kind="stable")
    order = np.argsort((numbers & 0xFFFF).astype(np.uint16), kind="stable")
    largest, shift = int(numbers.max(initial=0)), 16
    while largest >> shift:
        digit = ((numbers >> shift) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digit[order], kind="stable")]
        shift += 16
    return order


def distinct(numbers: np.ndarray) -> np.ndarray:
    """``np.unique(numbers)`` by sorting, which beats NumPy's hash table on our keys."""
    numbers = np.sort(numbers)
    return numbers[run_starts(numbers)]


def changes(*columns: np.ndarray) -> np.ndarray:
    """Marks the rows that differ, in any column, from the row before, and the first."""
    marks = np.ones(len(columns[0]), dtype=bool)
    np.not_equal(columns[0][1:], columns[0][:-1], out=marks[1:])
    for column in columns[1:]:
        marks[1:] |= column[1:] != column[:-1]
    return marks


def run_starts(*columns: np.ndarray) -> np.ndarray:
    """Where each run of rows that are equal in all columns begins, i64."""
    return np.flatnonzero(changes(*columns))


def expand(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the ranges [first, first + count), and which range each is of, both i64."""
    of_range = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(of_range)) - np.repeat(np.cumsum(count) - count, count)
    return first[of_range] + within, of_range
