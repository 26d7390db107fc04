"""From the text of a few lines to columns: what a row of AVA's CSVs may look like.

A row has 2 columns (a keyframe), 7 (a box and its action) or 8 (and a score or person id). What a
cell may be follows the official script (``read_csv`` of ``get_ava_performance.py``): the dialect of
Python's ``csv``, times that ``Decimal`` reads, numbers that ``float`` and ``int`` read. Cells may
also stand between tabs: a file is read so when its first line has tabs and no comma.

``parse_slowly`` is that definition in plain Python. Arrow's reader, forty times faster, takes the
text on which it gives the same bits: no quotes, as many columns in every row, no odd number.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import pyarrow
from pyarrow import csv as arrow_csv

from ava_eval.categorical import Categorical
from ava_eval.errors import InputError

# The columns; the eighth is a score or a person id.
NAMES = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "score"]
WIDTHS = (2, 7, 8)
_MEASURES = [2, 3, 4, 5, 7]  # the places of the columns that are numbers of their own
_MISSING = ("", 0.0, np.nan, np.nan, np.nan, np.nan, 0, 1.0)
_BLOCK_ROWS = 50_000
_UTF_8 = "text in UTF-8"


class Problem(NamedTuple):
    """A cell or row that cannot be read; ``line`` counts from 1."""

    line: int
    column: str | None
    expected: str
    got: str

    def error(self, path: str | PathLike[str]) -> InputError:
        """The error that names the file too."""
        return InputError.at(path, self.line, self.column, self.expected, self.got, self._remedy())

    def _remedy(self) -> str:
        """What the file may be instead."""
        if self.column == "action_id" and not self.got:
            return "is it a file of person boxes, without actions?"
        is_strange = self.got == "1 columns" or self.expected == _UTF_8 or "\0" in self.got
        return "is it a CSV?" if is_strange and self.line == 1 else ""


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file.

    ``video`` are str, ``time`` float seconds (not yet rounded), ``action`` int. ``odd_times``
    bool, one for each category of ``time``, marks those whose text is no whole number.
    ``corners`` are x1, y1, x2, y2, four f64[N]. ``eighth`` f64[N] is a score or a person id, 1.0
    where there is none. ``width`` i64[N] is the number of columns; behind a width of 2 corners are
    NaN and actions 0.
    """

    video: Categorical
    time: Categorical
    odd_times: np.ndarray
    corners: tuple[np.ndarray, ...]
    action: Categorical
    eighth: np.ndarray
    width: np.ndarray
    first_line: int
    _line: np.ndarray | None = None  # from 0 within the block; None: a row a line

    def __len__(self) -> int:
        return len(self.eighth)

    @property
    def lines(self) -> np.ndarray:
        """i64[N], the line on which each row ends, counted from 1."""
        within = np.arange(len(self)) if self._line is None else self._line
        return within + self.first_line

    def where(self, keep: np.ndarray) -> Block:
        """The rows of the mask ``keep``."""
        if keep.all():
            return self
        return Block(
            self.video.where(keep),
            self.time.where(keep),
            self.odd_times,
            tuple(corner[keep] for corner in self.corners),
            self.action.where(keep),
            self.eighth[keep],
            self.width[keep],
            self.first_line,
            (np.arange(len(self)) if self._line is None else self._line)[keep],
        )


class Parsed(NamedTuple):
    """``block`` and ``problems`` count lines from 0; the piece of text had ``num_lines``."""

    block: Block
    problems: list[Problem]
    num_lines: int


def delimiter_of(piece: bytes) -> str | None:
    """What stands between the cells, by the first line that is not empty; None without one."""
    first = re.search(rb"[^\r\n]+", piece)
    if first is None:
        return None
    return "\t" if b"\t" in first[0] and b"," not in first[0] else ","


def parse(piece: bytes, labels: bool, delimiter: str = ",") -> list[Parsed]:
    """Parse whole lines without quotes."""
    block = parse_fast(piece, labels, delimiter)
    if block is not None:
        return [Parsed(block, [], len(block))]
    return list(parse_slowly([piece], labels, delimiter))


def parse_fast(piece: bytes, labels: bool, delimiter: str = ",") -> Block | None:
    """Let Arrow read; None where it would not read what the definition reads."""
    if delimiter != ",":
        if b"," in piece:  # it stands within a cell, which is odd enough
            return None
        piece = piece.replace(delimiter.encode(), b",")
    width = piece[: piece.find(b"\n") + 1 or None].count(b",") + 1
    if width not in WIDTHS or len(piece) > 1 << 30:
        return None
    names = [name for name in NAMES[:width] if labels or name != "action_id"]
    try:
        table = arrow_csv.read_csv(
            pyarrow.py_buffer(piece),
            arrow_csv.ReadOptions(
                column_names=NAMES[:width], use_threads=False, block_size=len(piece) + 1
            ),
            arrow_csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            arrow_csv.ConvertOptions(
                column_types=_ARROW_TYPES, include_columns=names, null_values=[]
            ),
        )
        columns = {name: table[name].chunk(0) for name in names}
        video, time, action = (
            _categorical(columns.get(name), parse, len(table))
            for name, parse in (("video_id", str), ("timestamp", _time_text), ("action_id", int))
        )
    except (ValueError, ArithmeticError):  # a ragged row, an odd number (ArrowInvalid is one too)
        return None
    measures = [
        _numpy(columns[NAMES[place]], np.float64)
        if NAMES[place] in columns
        else np.full(len(table), _MISSING[place])
        for place in _MEASURES
    ]
    undefined = np.logical_or.reduce([np.isnan(values) for values in measures])
    if width > 2 and undefined.any():  # Arrow takes more for a NaN than Python does
        lines = piece.split(b"\n")
        some = b"\n".join([lines[row] for row in np.flatnonzero(undefined)])
        if any(parsed.problems for parsed in parse_slowly([some], labels)):
            return None
    return Block(
        video,
        *_times(time),
        tuple(measures[:4]),
        action,
        measures[4],
        np.broadcast_to(np.int64(width), len(table)),
        first_line=0,
    )


def _categorical(column: Any, parse: Callable[[str], Any], num_rows: int) -> Categorical:
    """An Arrow dictionary array; zeros where there is no column."""
    if column is None:
        return Categorical([0], np.zeros(num_rows, dtype=np.int32))
    values = [parse(text) for text in column.dictionary.to_pylist()]
    return Categorical(values, _numpy(column.indices, np.int32))


def _numpy(column: Any, kind: type[np.generic]) -> np.ndarray:
    """An Arrow array without nulls as it lies in memory; its own ``to_numpy`` loads pandas."""
    return np.frombuffer(column.buffers()[1], kind)[column.offset :][: len(column)]


@lru_cache(maxsize=1 << 16)
def parse_time(text: str) -> float:
    """Seconds, as the official ``make_image_key`` reads them; ArithmeticError or ValueError."""
    return float(Decimal(text))


def _time_text(text: str) -> str:
    """The text of a time, as it is, if it has a value."""
    parse_time(text)
    return text


def _times(texts: Categorical) -> tuple[Categorical, np.ndarray]:
    """Times, and the mark of those that are not written as whole numbers."""
    values = [parse_time(text) for text in texts.categories]
    odd = [_readable_as("action_id", text, True) is None for text in texts.categories]
    return Categorical(values, texts.codes), np.array(odd, dtype=bool)


_KINDS: dict[str, Callable[[str], Any]] = {
    "video_id": str,
    "timestamp": parse_time,
    **dict.fromkeys(["x1", "y1", "x2", "y2"], float),
    "action_id": int,
    "score": float,
}
_ARROW_WORDS = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
_ARROW_TYPES = {
    name: pyarrow.float64() if kind is float else _ARROW_WORDS for name, kind in _KINDS.items()
}


def parse_slowly(pieces: Iterable[bytes], labels: bool, delimiter: str = ",") -> Iterator[Parsed]:
    """Read row by row: the definition of what a file means."""
    lines_of_text = itertools.chain.from_iterable(map(_lines, pieces))
    reader = csv.reader(lines_of_text, delimiter=delimiter)
    ended = False
    while not ended:
        start, problems = reader.line_num, list[Problem]()
        rows, widths, lines = list[tuple](), list[int](), list[int]()
        for _ in range(_BLOCK_ROWS):
            try:
                row = next(reader)
            except StopIteration:
                ended = True
                break
            except csv.Error as error:
                line = reader.line_num - start - 1
                problems.append(Problem(line, None, "a CSV row", str(error)))
                continue
            line = reader.line_num - start - 1
            wrong = [Problem(line, *wrong) for wrong in _what_is_wrong(row, labels)]
            problems += wrong
            if not wrong:
                rows.append(_values(row, labels))
                widths.append(len(row))
                lines.append(line)
        yield Parsed(_block(rows, widths, lines), problems, reader.line_num - start)


def _lines(piece: bytes) -> Iterable[str]:
    """Lines as Python's ``open(newline="")`` cuts them; bytes that are no UTF-8 are kept apart."""
    return io.StringIO(piece.decode("utf-8", "surrogateescape"), newline="")


def _what_is_wrong(row: list[str], labels: bool) -> Iterator[tuple[str | None, str, str]]:
    """For each cell that cannot be read: its column, what was expected, what is there."""
    if len(row) not in WIDTHS:
        expected = "2, 7 or 8 columns (video_id,timestamp[,x1,y1,x2,y2,action_id[,score]])"
        yield None, expected, f"{len(row)} columns" if row else "a blank line"
        return
    numbers = [_readable_as(name, text, labels) for name, text in zip(NAMES, row, strict=False)][1:]
    if len(row) > 2 and not any(value is not None for value in numbers):
        yield None, "numbers behind the video's id (AVA's files have no header line)", ",".join(row)
        return
    for name, text in zip(NAMES, row, strict=False):
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            yield name, _UTF_8, text
        elif _readable_as(name, text, labels) is None:
            expected = "a whole number" if name == "action_id" else "a number"
            yield "score (or person_id)" if name == "score" else name, expected, text


def _readable_as(name: str, text: str, labels: bool) -> Any:
    """The value of a cell, None when it has none."""
    try:
        return _KINDS[name](text) if labels or name != "action_id" else 0
    except (ValueError, ArithmeticError):
        return None


def _values(row: list[str], labels: bool) -> tuple:
    """A sound row as values, in the order of ``NAMES``; the time stays a text."""
    values = [_readable_as(name, text, labels) for name, text in zip(NAMES, row, strict=False)]
    return (values[0], row[1], *values[2:], *_MISSING[len(values) :])


def _block(rows: list[tuple], widths: list[int], lines: list[int]) -> Block:
    columns = list(zip(*rows, strict=True)) or [()] * len(NAMES)
    video, time, action = (Categorical.of(columns[place]) for place in (0, 1, 6))
    x1, y1, x2, y2, eighth = (np.array(columns[place], dtype=np.float64) for place in _MEASURES)
    return Block(
        video,
        *_times(time),
        (x1, y1, x2, y2),
        action,
        eighth,
        np.array(widths, dtype=np.int64),
        first_line=0,
        _line=np.array(lines, dtype=np.int64),
    )
