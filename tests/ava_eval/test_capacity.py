"""The cap in closed form against the heap that defines it."""

from __future__ import annotations

import numpy as np
import pytest

from ava_eval import capacity
from ava_eval.capacity import heap_order, within_capacity, within_class_capacity
from ava_eval.labelled_boxes import LabelledBoxes


def random_boxes(seed: int) -> LabelledBoxes:
    """Few scores, actions and corners, so that everything ties; sometimes NaN."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 60)
    frame = np.sort(rng.integers(0, rng.integers(1, 6), size))
    corners = rng.integers(0, 3, (size, 4)).astype(float)
    if seed % 3 == 0:
        corners[rng.random(corners.shape) < 0.05] = np.nan
    box = np.sort(rng.integers(0, size, rng.integers(1, 300))).astype(np.int32)
    if seed % 2:
        rng.shuffle(box)
    score = rng.integers(0, 4, len(box)) / 4.0
    score[rng.random(len(box)) < 0.02] = -np.inf
    return LabelledBoxes(frame, corners, box, rng.integers(0, 4, len(box)).astype(np.int16), score)


def items(boxes: LabelledBoxes, rows: np.ndarray | list[int]) -> list[str]:
    """What the rows say; which of two rows that say the same is kept does not matter."""
    columns = (boxes.keyframe_of_row, boxes.action, boxes.score, boxes.corners[boxes.box])
    return sorted(repr([column[row].tolist() for column in columns]) for row in rows)


@pytest.mark.parametrize("seed", range(120))
def test_what_the_heap_leaves(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "_CHUNK", 50)
    boxes = random_boxes(seed)
    limit = int(np.random.default_rng(seed).integers(1, 20))
    kept: list[int] = []
    for frame in np.unique(boxes.keyframe_of_row):
        rows = np.flatnonzero(boxes.keyframe_of_row == frame)
        kept += heap_order(boxes, rows, limit).tolist()
    assert items(boxes, np.flatnonzero(within_capacity(boxes, limit))) == items(boxes, kept)


def test_capacity_of_a_class() -> None:
    boxes = random_boxes(1)
    keep = within_class_capacity(boxes, 3)
    cells = {}
    for row in range(len(boxes)):
        cell = (boxes.keyframe_of_row[row], boxes.action[row])
        cells.setdefault(cell, []).append(row)
    for rows in cells.values():
        kept = [boxes.score[row] for row in rows if keep[row]]
        best = sorted((boxes.score[row] for row in rows), reverse=True)[:3]
        assert sorted(kept, reverse=True) == best


def test_nothing() -> None:
    boxes = random_boxes(0).where(np.zeros(0, dtype=np.int64))
    assert within_capacity(boxes, 5).shape == (0,)
