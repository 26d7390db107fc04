"""Every row of a CSV that can be read, and a finding for each kind of row that cannot."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ava_detect.doctor.findings import SHOWN, Finding
from ava_eval.categorical import Categorical
from ava_eval.csv_blocks import read_blocks
from ava_eval.csv_parsing import WIDTHS, Block, Problem
from ava_eval.errors import InputError
from ava_eval.keyframes import canonical_times
from ava_eval.open_files import open_input
from ava_eval.tables import BOX, is_video_id

LARGEST_ID = 2**62
"""Ids beyond are cut to it: no label map has them."""


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of a file.

    ``rows`` has the columns ``video_id timestamp x1 y1 x2 y2 action_id eighth width line``, and
    ``keyframe``, a number, once the keyframes of all tables are numbered. Boxes are NaN and actions
    0 behind a ``width`` of 2.
    """

    path: Path
    rows: pd.DataFrame

    @property
    def boxes(self) -> Table:
        """The rows with a box."""
        return Table(self.path, self.rows[self.rows["width"] > 2])

    def find(
        self, code: str, marks: np.ndarray, what: str, show: Callable[[Any], str], remedy: str = ""
    ) -> list[Finding]:
        """A finding of the rows that ``marks`` bool[N] marks; ``show`` tells of the first."""
        marked = np.flatnonzero(marks)
        if not len(marked):
            return []
        first = next(self.rows.iloc[marked[:1]].itertuples(index=False))
        lines = tuple(self.rows["line"].iloc[marked[:SHOWN]].tolist())
        what = f"{what}; here {show(first)}"
        return [Finding(code, str(self.path), what, len(marked), lines, remedy=remedy)]


def read_table(path: Path, setting: str, *, labels: bool = True) -> tuple[Table, list[Finding]]:
    """Read a CSV of AVA's family as far as it can be read; ``setting`` is what names it.

    ``labels=False`` leaves the seventh column unread.
    """
    if path.is_dir():
        what = f"{setting} names this path, and it is a folder"
        remedy = f"name a file in it: {setting}={path}/NAME.csv"
        return empty_table(path), [Finding("file-missing", str(path), what, remedy=remedy)]
    if not path.is_file():
        what = f"{setting} names this file, and there is none"
        return empty_table(path), [Finding("file-missing", str(path), what)]
    unread = _Unread(path)
    blocks = []
    try:
        for block in read_blocks(path, labels=labels, on_problem=unread.add):
            blocks.append(block)
    except InputError as problem:
        return empty_table(path), [Finding("file-unreadable", str(path), reason(problem, path))]
    table = _table(path, blocks)
    findings = [*unread.findings(), *check_keys(table)]
    if not len(table.rows) and not findings:
        findings = [Finding("file-empty", str(path), f"{setting} names this file; it has no rows")]
    return table, findings


def empty_table(path: Path) -> Table:
    """A table without rows."""
    return _table(path, [])


def check_keys(table: Table) -> list[Finding]:
    """Ids with blanks around them or without a letter, and times that are no moment."""
    named = pd.Series(
        {name: is_video_id(name) for name in table.rows["video_id"].unique()}, dtype=bool
    )
    blanks = ~table.rows["video_id"].map(named).to_numpy(bool)
    finite = np.isfinite(table.rows["timestamp"].to_numpy(np.float64))
    return [
        *table.find(
            "id-blanks",
            blanks,
            "ids of videos are empty or have blanks around them",
            lambda row: repr(row.video_id),
        ),
        *table.find(
            "time-not-finite", ~finite, "timestamps are no numbers", lambda row: str(row.timestamp)
        ),
    ]


def _table(path: Path, blocks: list[Block]) -> Table:
    none = np.zeros(0)
    corners = np.concatenate([np.zeros((4, 0)), *(np.stack(b.corners) for b in blocks)], axis=1)
    columns = {
        "video_id": np.concatenate([none.astype(object), *(_words(b.video) for b in blocks)]),
        "timestamp": canonical_times(np.concatenate([none, *(_times(b.time) for b in blocks)])),
        **dict(zip(BOX, corners, strict=True)),
        "action_id": np.concatenate([none.astype(np.int64), *(_ids(b.action) for b in blocks)]),
        "eighth": np.concatenate([none, *(block.eighth for block in blocks)]),
        "width": np.concatenate([none.astype(np.int64), *(block.width for block in blocks)]),
        "line": np.concatenate([none.astype(np.int64), *(block.lines for block in blocks)]),
    }
    return Table(path, pd.DataFrame(columns))


def _words(column: Categorical) -> np.ndarray:
    return np.array([str(word) for word in column.categories], dtype=object)[column.codes]


def _times(column: Categorical) -> np.ndarray:
    return np.array(column.categories, dtype=np.float64)[column.codes]


def _ids(column: Categorical) -> np.ndarray:
    ids = [min(max(number, -LARGEST_ID), LARGEST_ID) for number in column.categories]
    return np.array(ids, dtype=np.int64)[column.codes]


@dataclass
class _Unread:
    """What could not be read, by kind: how much, and the first few; never all of it."""

    path: Path
    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[Problem]] = field(default_factory=dict)

    def add(self, problem: Problem) -> None:
        code = _code_of(problem)
        self.counts[code] = self.counts.get(code, 0) + 1
        kept = self.first.setdefault(code, [])
        if len(kept) < SHOWN:
            kept.append(problem)

    def findings(self) -> list[Finding]:
        found = []
        for code, problems in self.first.items():
            first = problems[0]
            column = "" if first.column is None else f"column {first.column}: "
            got = first.got if len(first.got) <= 80 else f"{first.got[:77]}..."
            what = f"{column}expected {first.expected}; here {got!r}"
            remedy = ""
            if code == "row-columns" and _has_semicolons(self.path, first.line):
                remedy = "these rows seem to be separated by ';': write commas or tabs"
            lines = tuple(problem.line for problem in problems)
            found.append(Finding(code, str(self.path), what, self.counts[code], lines, (), remedy))
        return found


def _code_of(problem: Problem) -> str:
    """The kind of a problem, by what ``csv_parsing`` says of it."""
    if problem.column is not None:
        return "cell-number" if "number" in problem.expected else "row-unreadable"
    if problem.got == "a blank line":
        return "blank-row"
    if "header" in problem.expected:
        return "header-line"
    return "row-columns" if "columns" in problem.expected else "row-unreadable"


def _has_semicolons(path: Path, line: int) -> bool:
    """Whether as many semicolons stand on a line of the file as a row has commas."""
    with open_input(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        found = next(itertools.islice(text, line - 1, None), "").count(";")
    return found + 1 in WIDTHS


def reason(problem: InputError, path: Path) -> str:
    """The text of an error without the file, which is named beside it."""
    return str(problem).removeprefix(f"{path}: ").removeprefix(str(path))
