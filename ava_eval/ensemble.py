"""Several files of detections as one: the scores of equal boxes and actions are averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Literal

import numpy as np
import pandas as pd

from ava_eval.csv_rows import read_rows
from ava_eval.errors import InputError
from ava_eval.files import detections_of
from ava_eval.keyframes import dense_numbers, keyframe_codes
from ava_eval.labelled_boxes import run_starts
from ava_eval.origin import Origin
from ava_eval.tables import (
    BOX,
    DETECTION_COLUMNS,
    require_columns,
    require_scores,
    require_times,
)

Mean = Literal["arithmetic", "geometric"]
_FARTHEST = 2000  # coordinates whose millionths fit into 32 bits


@dataclass(frozen=True)
class Merged:
    """``detections`` and how far the files agree on what they score.

    Of the rows, boxes and keyframes that any file has, so many are in all files. ``repeated``
    rows of one file had the box and action of another of its rows.
    """

    detections: pd.DataFrame
    rows_in_all: int
    boxes: int
    boxes_in_all: int
    keyframes: int
    keyframes_in_all: int
    repeated: int


def read_for_merging(path: str | PathLike[str], mean: Mean = "arithmetic") -> pd.DataFrame:
    """Read ``Detections`` that have a score each; strict but for boxes beyond the frame."""
    rows = read_rows(path)
    rows = rows.where(rows.width > 2)
    rows.origin.require(
        rows.width == 8,
        rows.table.assign(columns=rows.width),
        "columns",
        "8 columns (video_id,timestamp,x1,y1,x2,y2,action_id,score)",
    )
    detections = detections_of(rows)
    _check(detections, rows.origin, mean)
    return detections


def merge_detections(
    tables: Sequence[pd.DataFrame],
    weights: Sequence[float] | None = None,
    mean: Mean = "arithmetic",
) -> Merged:
    """The weighted mean over ``Detections`` of the score of each keyframe, box and action.

    Equal boxes agree to six decimals, as they are published. A table that lacks a box or its action
    counts as a score of 0 there; of a row that a table repeats, its best score counts. Rows come in
    the order of the first table, then those that only the second has, and so on, and keep the
    digits of the first that has them. ``weights`` are positive, one a table; None: equal ones.
    """
    share = _shares(weights, len(tables))
    for i, table in enumerate(tables):
        name = f"detections {i + 1}"
        require_columns(table, DETECTION_COLUMNS, name)
        _check(table, Origin(name), mean)
    frames = keyframe_codes(*tables)
    boxes = _box_numbers(tables, frames)
    rows = _row_numbers(tables, boxes)
    size = _size(rows)
    total = np.zeros(size)
    with np.errstate(divide="ignore"):  # the logarithm of 0
        for table, number, part in zip(tables, rows, share, strict=True):
            score = np.full(size, -np.inf)
            np.maximum.at(score, number, table["score"].to_numpy(np.float64))
            score[np.isneginf(score)] = 0
            total += part * (score if mean == "arithmetic" else np.log(score))
    if mean == "geometric":
        total = np.exp(total)
    firsts = _first_rows(tables, rows)
    return Merged(
        firsts.assign(score=total)[DETECTION_COLUMNS],
        rows_in_all=_in_all(rows),
        boxes=_size(boxes),
        boxes_in_all=_in_all(boxes),
        keyframes=_size(frames),
        keyframes_in_all=_in_all(frames),
        repeated=sum(len(number) - int(has.sum()) for number, has in _occurrences(rows)),
    )


def _check(table: pd.DataFrame, origin: Origin, mean: Mean) -> None:
    require_times(table, origin)
    require_scores(table, origin, finite=True)
    for column in BOX:
        good = np.abs(table[column].to_numpy(np.float64)) <= _FARTHEST  # nor NaN
        origin.require(good, table, column, "a fraction of the frame's width or height")
    if mean == "geometric":
        origin.require(
            table["score"].to_numpy(np.float64) >= 0,
            table,
            "score",
            "a score from 0 on",
            "a geometric mean has no negative ones",
        )


def _shares(weights: Sequence[float] | None, number: int) -> np.ndarray:
    """What each table contributes, f64[number] that sum up to 1."""
    weight = np.ones(number) if weights is None else np.asarray(weights, np.float64)
    if number < 2 or len(weight) != number:
        raise InputError(
            f"weights: expected one for each of {number} files, got {len(weight)}"
            if number >= 2
            else f"expected two files of detections or more, got {number}"
        )
    if not (np.isfinite(weight) & (weight > 0)).all():
        raise InputError(f"weights: expected positive numbers, got {weight.tolist()}")
    return weight / weight.sum()


def _box_numbers(tables: Sequence[pd.DataFrame], frames: list[np.ndarray]) -> list[np.ndarray]:
    """Each row's box i64[N], numbered over all tables in order of appearance."""
    corners = [
        [np.rint(table[c].to_numpy(np.float64) * 1e6).astype(np.int64) for c in BOX]
        for table in tables
    ]
    # Neighbours mostly share a box: it is looked up once.
    starts = [run_starts(frame, *c) for frame, c in zip(frames, corners, strict=True)]
    firsts = [[c[start] for c in four] for four, start in zip(corners, starts, strict=True)]
    upper = dense_numbers(*(_pair(x1, y1) for x1, y1, _, _ in firsts))[1]
    lower = dense_numbers(*(_pair(x2, y2) for _, _, x2, y2 in firsts))[1]
    box = dense_numbers(*map(_pair, upper, lower))[1]
    frame = [of_row[start] for of_row, start in zip(frames, starts, strict=True)]
    box = dense_numbers(*map(_pair, frame, box))[1]
    return [
        np.repeat(of_run, np.diff(start, append=len(of_row)))
        for of_run, start, of_row in zip(box, starts, frames, strict=True)
    ]


def _row_numbers(tables: Sequence[pd.DataFrame], boxes: list[np.ndarray]) -> list[np.ndarray]:
    """Each row's box and action as one number, over all tables in order of appearance."""
    actions = dense_numbers(*(table["action_id"].to_numpy(np.int64) for table in tables))[1]
    return dense_numbers(*map(_pair, boxes, actions))[1]


def _pair(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Two numbers of 32 bits, of either sign, as one of 64."""
    return (high.astype(np.int64) << 32) | (low.astype(np.int64) & 0xFFFFFFFF)


def _size(numbers: list[np.ndarray]) -> int:
    return max(int(number.max(initial=-1)) for number in numbers) + 1


def _in_all(numbers: list[np.ndarray]) -> int:
    """How many of the numbers each of the arrays has."""
    common = np.ones(_size(numbers), dtype=bool)
    for _, has in _occurrences(numbers):
        common &= has
    return int(common.sum())


def _occurrences(numbers: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each array, with a mask of the numbers that it has."""
    size = _size(numbers)
    for number in numbers:
        has = np.zeros(size, dtype=bool)
        has[number] = True
        yield number, has


def _first_rows(tables: Sequence[pd.DataFrame], rows: list[np.ndarray]) -> pd.DataFrame:
    """The row of each number where it appears first; numbers are in that order."""
    known, parts = 0, []
    for table, number in zip(tables, rows, strict=True):
        # a new number is larger than all before it
        before = np.maximum.accumulate(np.concatenate([[known - 1], number]))[:-1]
        parts.append(table[number > before])
        known += len(parts[-1])
    return pd.concat(parts, ignore_index=True)
