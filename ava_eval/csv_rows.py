"""The rows of one CSV in AVA's family, parsed fast, or slowly where a row is unusual or wrong.

A row has 2 columns (a keyframe), 7 (a box and its action) or 8 (and a score or person id). What a
number may look like follows the official script (``read_csv`` of ``get_ava_performance.py``): what
Python's ``float`` and ``int`` read. The slow parser defines the answer; the fast one is used when
every row has the same columns and pandas reads them all, and gives the same bits.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from ava_eval.errors import InputError
from ava_eval.keyframes import canonical_times
from ava_eval.origin import Origin

_NAMES = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "score"]
# pandas 3.1 parses floats exactly and deprecates the option that older ones need for it.
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT = {"float_precision": "round_trip"} if _PANDAS < (3, 1) else {}


@dataclass(frozen=True)
class CsvRows:
    """All rows of a file, in order.

    ``table`` has the columns ``video_id timestamp x1 y1 x2 y2 action_id score``; ``score`` is the
    eighth column, a score or a person id, as a number: 1.0 where there is none. ``width`` i64[N] is
    the number of columns of each row; behind a width of 2 the box is NaN and the action 0.
    ``origin`` knows the lines.
    """

    table: pd.DataFrame
    width: np.ndarray
    origin: Origin

    def where(self, keep: np.ndarray) -> CsvRows:
        """The rows of the mask ``keep``, numbered anew."""
        if keep.all():
            return self
        table = self.table[keep].reset_index(drop=True)
        return CsvRows(table, self.width[keep], self.origin.where(keep))


def read_rows(path: str | PathLike[str], *, labels: bool = True) -> CsvRows:
    """Read a CSV, or a CSV in gzip when its name ends in ``.gz``.

    ``labels=False`` leaves the seventh column unread (published person boxes leave it empty); every
    ``action_id`` is then 0. Raises ``InputError`` with file, line and column.
    """
    with _readable(path):
        rows = _read_fast(path, labels) or _read_slowly(path, labels)
    rows.table["timestamp"] = canonical_times(rows.table["timestamp"].to_numpy())
    return rows


@contextmanager
def _readable(path: str | PathLike[str]) -> Iterator[None]:
    """Turn what opening, unpacking and decoding may raise into ``InputError``."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected text in UTF-8 ({error.reason})") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read: {reason}") from error


def open_text(path: str | PathLike[str]) -> TextIO:
    """Open a file or a ``.gz`` as text with the line ends as they are; a byte-order mark is cut."""
    if str(path).endswith(".gz"):
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8-sig", newline="")
    return Path(path).open(encoding="utf-8-sig", newline="")


def read_text(path: str | PathLike[str]) -> str:
    """The whole text of a small file; raises ``InputError`` when it cannot be read."""
    with _readable(path), open_text(path) as file:
        return file.read()


def _parse(row: list[str], path: str | PathLike[str], line: int, labels: bool) -> tuple:
    """One row's cells as values, in the order of ``_NAMES``."""
    if len(row) not in (2, 7, 8):
        raise InputError.at(
            path,
            line,
            None,
            "2, 7 or 8 columns (video_id,timestamp[,x1,y1,x2,y2,action_id[,score]])",
            f"{len(row)} columns" if row else "a blank line",
        )
    values: list[object] = [row[0]]
    for name, text in zip(_NAMES[1:], row[1:], strict=False):
        kind = int if name == "action_id" else float
        if name == "action_id" and not labels:
            values.append(0)
            continue
        try:
            values.append(kind(text))
        except ValueError:
            expected = "a whole number" if kind is int else "a number"
            column = "score (or person_id)" if name == "score" else name
            raise InputError.at(path, line, column, expected, text) from None
    if len(row) == 2:
        return (*values, np.nan, np.nan, np.nan, np.nan, 0, 1.0)
    return tuple(values) if len(row) == 8 else (*values, 1.0)


def _read_fast(path: str | PathLike[str], labels: bool) -> CsvRows | None:
    """Read a file whose rows all have the columns of the first one; None when pandas cannot."""
    with open_text(path) as file:
        try:
            first = next(csv.reader(file), None)
        except csv.Error:
            return None
    if first is None:
        return None
    _parse(first, path, 1, labels)
    names = _NAMES[: len(first)]
    # Actions are read as words: pandas would take '3.0' for a whole number, Python does not.
    # (As categories they would be cheaper, but pandas 3.1 makes numbers of '007' there.)
    kinds = {name: str if name in ("video_id", "action_id") else "f8" for name in names}
    try:
        table = pd.read_csv(
            path,
            header=None,
            names=names,
            dtype=kinds,
            index_col=False,
            na_filter=False,
            skip_blank_lines=False,
            **_EXACT,
        )
        if "action_id" in names:
            table["action_id"] = _whole_numbers(table["action_id"]) if labels else 0
    except (ValueError, OverflowError):  # a ragged or odd row somewhere (ParserError is one too)
        return None
    for name, missing in zip(_NAMES[2:], [np.nan] * 4 + [0, 1.0], strict=True):
        if name not in table.columns:
            table[name] = missing
    return CsvRows(
        table,
        np.full(len(table), len(first)),
        Origin(path, np.arange(1, len(table) + 1)),
    )


def _whole_numbers(words: pd.Series) -> np.ndarray:
    codes, distinct = pd.factorize(words)
    return np.array([int(word) for word in distinct], dtype=np.int64)[codes]


def _read_slowly(path: str | PathLike[str], labels: bool) -> CsvRows:
    """Read row by row; raises ``InputError`` for the first row that is not in AVA's form."""
    rows, widths, lines = [], [], []
    with open_text(path) as file:
        reader = csv.reader(file)
        try:
            for row in reader:
                rows.append(_parse(row, path, reader.line_num, labels))
                widths.append(len(row))
                lines.append(reader.line_num)
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num}: not a CSV row: {error}") from error
    columns = list(zip(*rows, strict=True)) or [()] * len(_NAMES)
    kinds = dict.fromkeys(_NAMES, np.float64) | {"video_id": object, "action_id": np.int64}
    try:
        table = pd.DataFrame(
            {
                name: np.array(column, dtype=kinds[name])
                for name, column in zip(_NAMES, columns, strict=True)
            }
        )
    except OverflowError:
        large = next(row for row, values in enumerate(rows) if not -(2**63) <= values[6] < 2**63)
        raise InputError.at(
            path, lines[large], "action_id", "a whole number of 64 bits", rows[large][6]
        ) from None
    table["video_id"] = table["video_id"].astype(str)
    return CsvRows(table, np.array(widths, dtype=np.int64), Origin(path, np.array(lines)))
