"""Every rule of a challenge file, checked on all rows at once.

The rules are those of the challenge pages and of what the official script does with a file: eight
columns, listed actions, boxes within the frame, finite scores, keyframes of the list, each box and
action once, and at most 50 rows a keyframe, as the others are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from ava_eval.box_sets import BoxSetBuilder
from ava_eval.capacity import CAPACITY, within_capacity
from ava_eval.categorical import Categorical
from ava_eval.csv_blocks import BYTE_ORDER_MARK, read_blocks
from ava_eval.csv_parsing import Block, Problem
from ava_eval.keyframes import KeyframeNumbers, dense_numbers, format_times
from ava_eval.labelled_boxes import LabelledBoxes, distinct, run_starts, stable_order
from ava_eval.open_files import Digest
from ava_eval.tables import A_BOX, A_SCORE, A_TIME, A_VIDEO_ID, BOX, are_boxes, is_video_id

_EXAMPLES = 20  # rows of a kind whose content is kept
# What each rule expects, and what to do about rows that break it.
RULES = {
    "rows": ("at least one row", "write the detections; is this the right file?"),
    "columns": (
        "8 columns (video_id,timestamp,x1,y1,x2,y2,action_id,score)",
        "write one row for each box and action, with its score",
    ),
    "cells": ("cells that can be read", "correct what wrote them"),
    "video_id": (A_VIDEO_ID, "correct the id"),
    "timestamp": (A_TIME, "correct the time"),
    "action": ("an action of the label map", "leave these rows out, they are not evaluated"),
    "box": (
        A_BOX,
        "coordinates are fractions of the frame's width and height: clip or remove the box",
    ),
    "score": (A_SCORE, "correct what wrote the score"),
    "keyframe": ("a keyframe of the list", "leave these rows out, or correct their video or time"),
    "excluded": ("a keyframe that is not excluded", "leave these rows out"),
    "duplicate": (
        "each box and action of a keyframe once",
        "remove the repetition: it would count as a false positive",
    ),
    "capacity": (
        f"at most {CAPACITY} rows of listed actions a keyframe",
        f"these rows will be dropped; write the best {CAPACITY} of each keyframe",
    ),
}


class Example(NamedTuple):
    """What stands in a row that breaks a rule; ``column`` is None for the row as a whole."""

    line: int
    column: str | None
    expected: str
    got: str


@dataclass(frozen=True)
class Violation:
    """A rule of ``RULES``, the lines i64 of rows that break it, ascending, and a few of them."""

    kind: str
    lines: np.ndarray
    examples: list[Example]

    def to_json(self) -> dict[str, Any]:
        """For ``json.dump``; lines as ranges [first, last]."""
        expected, remedy = RULES[self.kind]
        return {
            "kind": self.kind,
            "expected": expected,
            "remedy": remedy,
            "rows": len(self.lines),
            "lines": ranges(self.lines),
            "examples": [example._asdict() for example in self.examples],
        }


@dataclass(frozen=True)
class Validation:
    """The violations in the order of ``RULES``, and counts.

    ``rows`` of the file, ``keyframes`` with a row of a listed action; of a list of keyframes
    ``listed_keyframes`` (without the excluded) and ``covered_keyframes`` of them; ``tied_rows``
    have the score of another row of their action.
    """

    violations: list[Violation]
    counts: dict[str, int]

    @property
    def valid(self) -> bool:
        """Whether the challenge takes the file as it is."""
        return not self.violations

    def to_json(self, inputs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """A dict for ``json.dump``; ``inputs`` are the files."""
        return {
            "valid": self.valid,
            "violations": [violation.to_json() for violation in self.violations],
            "counts": self.counts,
            "inputs": list(inputs),
        }


def check_submission(
    path: str | PathLike[str],
    numbers: KeyframeNumbers,
    ids: np.ndarray,
    keyframes: np.ndarray | None = None,
    excluded: np.ndarray | None = None,
    digest: Digest | None = None,
) -> Validation:
    """Check a file of detections; ``ids`` i64[C] are the listed actions, ascending.

    ``keyframes`` i64 (None: any) and ``excluded`` i64 are keys of ``numbers``. Raises
    ``InputError`` only for a file that cannot be read at all.
    """
    check = _Check(numbers, ids)
    for block in read_blocks(path, digest=digest, on_problem=check.problem, official=True):
        check.rows(block)
    return check.finish(keyframes, excluded)


class _Check:
    """Gathers what breaks a rule, and the rows for the rules that look at several."""

    def __init__(self, numbers: KeyframeNumbers, ids: np.ndarray) -> None:
        self._numbers, self._ids = numbers, set(ids.tolist())
        self._builder = BoxSetBuilder(numbers, ids)
        self._broken: dict[str, list[np.ndarray]] = {kind: [] for kind in RULES}
        self._examples: dict[str, list[Example]] = {kind: [] for kind in RULES}
        self._lines = [np.zeros(0, dtype=np.int64)]  # of the rows that the builder has
        self._num_rows, self._unread = 0, set[int]()

    def problem(self, problem: Problem) -> None:
        """A row or cell that could not be read."""
        if problem.got != BYTE_ORDER_MARK:  # that row is read all the same
            self._unread.add(problem.line)
        kind = "cells" if problem.column or "columns" not in problem.expected else "columns"
        expected = problem.expected if kind == "cells" else RULES[kind][0]
        cell = (problem.column, expected, problem.got)
        self._note(kind, np.array([problem.line]), lambda _: cell)

    def rows(self, block: Block) -> None:
        """Rows that could be read."""
        self._num_rows += len(block)
        lines, width = block.lines, block.width
        short = np.flatnonzero(width < 8)
        expected = RULES["columns"][0]
        self._note(
            "columns", lines[short], lambda i: (None, expected, f"{width[short[i]]} columns")
        )
        block = block.where(width == 8)
        video, time, action = block.video, block.time, block.action
        named = np.array([is_video_id(name) for name in video.categories], dtype=bool)
        finite = np.isfinite(np.array(time.categories, dtype=np.float64))
        listed = np.array([number in self._ids for number in action.categories], dtype=bool)
        for kind, column, good, cells in (
            ("video_id", "video_id", named[video.codes], [video]),
            ("timestamp", "timestamp", finite[time.codes], [time]),
            ("action", "action_id", listed[action.codes], [action]),
            ("box", ",".join(BOX), are_boxes(*block.corners), block.corners),
            ("score", "score", np.isfinite(block.eighth), [block.eighth]),
        ):
            rows = np.flatnonzero(~good)
            show = partial(_cells, column, RULES[kind][0], cells, rows)
            self._note(kind, block.lines[rows], show)
        judged = block.where(listed[action.codes] & finite[time.codes] & ~np.isnan(block.eighth))
        if len(judged):
            self._builder.add(self._builder.part(judged))
            self._lines.append(judged.lines)

    def finish(self, keyframes: np.ndarray | None, excluded: np.ndarray | None) -> Validation:
        """The rules that look at several rows, and everything found."""
        boxes, lines = self._builder.finish().boxes, np.concatenate(self._lines)
        keys = boxes.keyframe

        def note(kind: str, rows: np.ndarray, more: Callable[[int], str] = lambda _: "") -> None:
            def show(place: int) -> tuple[None, str, str]:
                return None, RULES[kind][0], self._describe(boxes, rows[place]) + more(place)

            self._note(kind, lines[rows], show)

        left_out = np.isin(keys, [] if excluded is None else excluded)
        note("excluded", np.flatnonzero(boxes.on_boxes(left_out)))
        known = np.ones(len(keys), dtype=bool) if keyframes is None else np.isin(keys, keyframes)
        note("keyframe", np.flatnonzero(boxes.on_boxes(~known & ~left_out)))
        counted = replace(boxes, keyframe=dense_numbers(keys)[1][0])
        repeated, first = _repeated(counted)
        note("duplicate", repeated, lambda i: f", as on line {lines[first[i]]}")
        note("capacity", np.flatnonzero(~within_capacity(counted)))

        num_rows = self._num_rows + len(self._unread)
        counts = {"rows": num_rows, "keyframes": len(distinct(keys))}
        if keyframes is not None:
            listed = keyframes if excluded is None else np.setdiff1d(keyframes, excluded)
            counts["listed_keyframes"] = len(distinct(listed))
            counts["covered_keyframes"] = len(np.intersect1d(listed, keys))
        counts["tied_rows"] = _num_tied(boxes)
        if not num_rows:
            self._broken["rows"].append(np.zeros(0, dtype=np.int64))
        violations = [
            Violation(kind, distinct(np.concatenate(found)), self._examples[kind])
            for kind, found in self._broken.items()
            if found
        ]
        return Validation(violations, counts)

    def _note(
        self, kind: str, lines: np.ndarray, show: Callable[[int], tuple[str | None, str, str]]
    ) -> None:
        """The rows on ``lines`` break a rule; ``show`` gives what an example of one says."""
        if len(lines):
            self._broken[kind].append(lines)
        examples = self._examples[kind]
        for place in range(min(len(lines), _EXAMPLES - len(examples))):
            examples.append(Example(int(lines[place]), *show(place)))

    def _describe(self, boxes: LabelledBoxes, row: int) -> str:
        box = boxes.box[row]
        (video,), (time,) = self._numbers.describe(boxes.keyframe[box : box + 1])
        action = sorted(self._ids)[boxes.action[row]]
        return f"{video},{format_times(np.array([time]))[0]}, action {action}"


def _cells(
    column: str,
    expected: str,
    cells: Sequence[Categorical | np.ndarray],
    rows: np.ndarray,
    place: int,
) -> tuple[str, str, str]:
    """What an example says of one of the rows."""
    row = rows[place]
    values = [c.categories[c.codes[row]] if isinstance(c, Categorical) else c[row] for c in cells]
    return column, expected, ",".join(str(value) for value in values)


def _repeated(boxes: LabelledBoxes) -> tuple[np.ndarray, np.ndarray]:
    """The rows that repeat the keyframe, corners and action of an earlier one, and that one."""
    merged = boxes.with_distinct_boxes()
    cell = merged.box.astype(np.int64) * (int(boxes.action.max(initial=0)) + 1) + boxes.action
    rows = stable_order(cell)
    starts = run_starts(cell[rows])
    first = np.repeat(rows[starts], np.diff(starts, append=len(rows)))
    again = np.flatnonzero(first != rows)
    again = again[np.argsort(rows[again])]
    return rows[again], first[again]


def _num_tied(boxes: LabelledBoxes) -> int:
    """Rows with the score of another row of their action."""
    tied = 0
    by_action = boxes.score[stable_order(boxes.action)]
    for scores in np.split(by_action, np.cumsum(np.bincount(boxes.action))):
        scores = np.sort(scores)
        equal = scores[1:] == scores[:-1]
        tied += int((np.append(equal, False) | np.append(False, equal)).sum())
    return tied


def ranges(numbers: Sequence[int] | np.ndarray) -> list[list[int]]:
    """Ascending numbers as pairs [first, last] of the runs without a gap."""
    lines = np.asarray(numbers)
    starts = np.flatnonzero(np.diff(lines, prepend=-2) != 1)
    ends = np.append(starts[1:], len(lines)) - 1
    return np.stack([lines[starts], lines[ends]], axis=1).tolist() if len(lines) else []
