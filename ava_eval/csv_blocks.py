"""The rows of a CSV in AVA's family, a block of lines at a time: parsed by threads, in file order.

A row has 2 columns (a keyframe), 7 (a box and its action) or 8 (and a score or person id). What a
cell may look like follows the official script (``read_csv`` of ``get_ava_performance.py``): the
dialect of Python's ``csv``, times that ``Decimal`` reads, numbers that ``float`` and ``int`` read.

``_parse_slowly`` is that definition in plain Python. Arrow's reader, forty times faster, takes the
blocks on which it gives the same bits: no quotes, as many columns in every row, no odd number. So
one odd row costs one block, a file of any size is read in a few megabytes, and from the first quote
on (a quoted line end could cross blocks) the plain parser reads the rest.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from os import PathLike
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow
from pyarrow import csv as arrow_csv

from ava_eval.errors import InputError
from ava_eval.input_files import Digest, open_input
from ava_eval.words import Words

BLOCK_BYTES = 4 << 20
_BLOCK_ROWS = 50_000
_BOM = b"\xef\xbb\xbf"
# The columns; the eighth is a score or a person id.
NAMES = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "score"]
_MEASURES = [2, 3, 4, 5, 7]  # the places of the columns that are numbers of their own
_MISSING = ("", 0.0, np.nan, np.nan, np.nan, np.nan, 0, 1.0)
WIDTHS = (2, 7, 8)


T = TypeVar("T")


class Problem(NamedTuple):
    """A cell or row that cannot be read; ``line`` counts from 1."""

    line: int
    column: str | None
    expected: str
    got: str

    def error(self, path: str | PathLike[str]) -> InputError:
        """The error that names the file too."""
        return InputError.at(path, self.line, self.column, self.expected, self.got)


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file.

    ``video`` are str, ``time`` float seconds (not yet rounded), ``action`` int. ``corners`` are x1,
    y1, x2, y2, four f64[N]. ``eighth`` f64[N] is a score or a person id, 1.0 where there is none.
    ``width`` i64[N] is the number of columns; behind a width of 2 corners are NaN and actions 0.
    """

    video: Words
    time: Words
    corners: tuple[np.ndarray, ...]
    action: Words
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
            tuple(corner[keep] for corner in self.corners),
            self.action.where(keep),
            self.eighth[keep],
            self.width[keep],
            self.first_line,
            (np.arange(len(self)) if self._line is None else self._line)[keep],
        )


def read_blocks(
    path: str | PathLike[str],
    *,
    labels: bool = True,
    digest: Digest | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> Iterator[Block]:
    """Yield the rows of a CSV, or of a CSV in gzip when its name ends in ``.gz``.

    ``labels=False`` leaves the seventh column unread (published person boxes leave it empty); every
    action is then 0. ``digest`` is fed the bytes of the file. A row that cannot be read raises
    ``InputError`` with file, line and column, or, with ``on_problem``, is told to it and left out;
    a file that cannot be read always raises.
    """

    def nothing(_: Block) -> None:
        return None

    for block, _ in map_blocks(path, nothing, labels=labels, digest=digest, on_problem=on_problem):
        yield block


def map_blocks(
    path: str | PathLike[str],
    work: Callable[[Block], T],
    *,
    labels: bool = True,
    digest: Digest | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> Iterator[tuple[Block, T]]:
    """``read_blocks``, and ``work`` on each of them by the thread that read it.

    To ``work`` each block seems to begin on line 0.
    """
    with open_input(path, digest) as file:
        line = 1
        for parsed, done in _in_order(_cut(file), labels, work):
            for problem in parsed.problems:
                problem = problem._replace(line=problem.line + line)
                if on_problem is None:
                    raise problem.error(path)
                on_problem(problem)
            for result in done:
                yield replace(parsed.block, first_line=line), result
            line += parsed.num_lines


def _cut(file: Any) -> Iterator[bytes]:
    """The bytes of a file in pieces that end with a line, the last one perhaps without."""
    pieces: list[bytes] = []
    start = True
    while data := file.read(BLOCK_BYTES):
        if start:
            while len(data) < len(_BOM) and (more := file.read(len(_BOM))):
                data += more
            data, start = data.removeprefix(_BOM), False
        end = data.rfind(b"\n") + 1
        if not end:
            pieces.append(data)
            continue
        yield b"".join([*pieces, data[:end]])
        pieces = [data[end:]]
    if rest := b"".join(pieces):
        yield rest


class _Parsed(NamedTuple):
    """``block`` and ``problems`` count lines from 0; the piece of text had ``num_lines``."""

    block: Block
    problems: list[Problem]
    num_lines: int


def _in_order(
    pieces: Iterator[bytes], labels: bool, work: Callable[[Block], T]
) -> Iterator[tuple[_Parsed, list[T]]]:
    """Parse the pieces, several at a time; from the first quote on one after the other.

    Beside each block is what ``work`` made of it, unless it has no rows.
    """

    def with_work(parsed: _Parsed) -> tuple[_Parsed, list[T]]:
        return parsed, [work(parsed.block)] if len(parsed.block) else []

    def parse(piece: bytes) -> list[tuple[_Parsed, list[T]]]:
        return [with_work(parsed) for parsed in _parse(piece, labels)]

    workers = min(_num_processors(), 8)
    pending: deque[Future[list[tuple[_Parsed, list[T]]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for piece in pieces:
            if b'"' in piece:
                break
            pending.append(pool.submit(parse, piece))
            if len(pending) > workers + 1:
                yield from pending.popleft().result()
        else:
            piece = b""
        while pending:
            yield from pending.popleft().result()
    if piece:
        yield from map(with_work, _parse_slowly(itertools.chain([piece], pieces), labels))


def _num_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _parse(piece: bytes, labels: bool) -> list[_Parsed]:
    """Parse whole lines without quotes."""
    block = _parse_fast(piece, labels)
    if block is not None:
        return [_Parsed(block, [], len(block))]
    return list(_parse_slowly([piece], labels))


def _parse_fast(piece: bytes, labels: bool) -> Block | None:
    """Let Arrow read; None where it would not read what the definition reads."""
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
            _words(columns.get(name), parse, len(table))
            for name, parse in (("video_id", str), ("timestamp", parse_time), ("action_id", int))
        )
    except (ValueError, ArithmeticError):  # a ragged row, an odd number (ArrowInvalid is one too)
        return None
    missing = [np.nan] * 4 + [1.0]
    measures = [
        _numpy(columns[name], np.float64) if name in columns else np.full(len(table), value)
        for name, value in zip([NAMES[place] for place in _MEASURES], missing, strict=True)
    ]
    if width > 2 and any(np.isnan(values).any() for values in measures):
        return None  # Arrow takes more for a NaN than Python does
    return Block(
        video,
        time,
        tuple(measures[:4]),
        action,
        measures[4],
        np.broadcast_to(np.int64(width), len(table)),
        first_line=0,
    )


def _words(column: Any, parse: Callable[[str], Any], num_rows: int) -> Words:
    """An Arrow dictionary as words; zeros where there is no column."""
    if column is None:
        return Words([0], np.zeros(num_rows, dtype=np.int32))
    values = [parse(text) for text in column.dictionary.to_pylist()]
    return Words(values, _numpy(column.indices, np.int32))


def _numpy(column: Any, kind: type[np.generic]) -> np.ndarray:
    """An Arrow array without nulls as it lies in memory; its own ``to_numpy`` loads pandas."""
    return np.frombuffer(column.buffers()[1], kind)[column.offset :][: len(column)]


@lru_cache(maxsize=1 << 16)
def parse_time(text: str) -> float:
    """Seconds, as the official ``make_image_key`` reads them; ArithmeticError or ValueError."""
    return float(Decimal(text))


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


def _parse_slowly(pieces: Iterable[bytes], labels: bool) -> Iterator[_Parsed]:
    """Read row by row: the definition of what a file means."""
    reader = csv.reader(itertools.chain.from_iterable(map(_lines, pieces)))
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
        yield _Parsed(_block(rows, widths, lines), problems, reader.line_num - start)


def _lines(piece: bytes) -> Iterable[str]:
    """Lines as Python's ``open(newline="")`` cuts them; bytes that are no UTF-8 are kept apart."""
    return io.StringIO(piece.decode("utf-8", "surrogateescape"), newline="")


def _what_is_wrong(row: list[str], labels: bool) -> Iterator[tuple[str | None, str, str]]:
    """For each cell that cannot be read: its column, what was expected, what is there."""
    if len(row) not in WIDTHS:
        expected = "2, 7 or 8 columns (video_id,timestamp[,x1,y1,x2,y2,action_id[,score]])"
        yield None, expected, f"{len(row)} columns" if row else "a blank line"
        return
    for name, text in zip(NAMES, row, strict=False):
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            yield name, "text in UTF-8", text
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
    """A sound row as values, in the order of ``NAMES``."""
    values = [_readable_as(name, text, labels) for name, text in zip(NAMES, row, strict=False)]
    return (*values, *_MISSING[len(values) :])


def _block(rows: list[tuple], widths: list[int], lines: list[int]) -> Block:
    columns = list(zip(*rows, strict=True)) or [()] * len(NAMES)
    video, time, action = (Words.of(columns[place]) for place in (0, 1, 6))
    x1, y1, x2, y2, eighth = (np.array(columns[place], dtype=np.float64) for place in _MEASURES)
    return Block(
        video,
        time,
        (x1, y1, x2, y2),
        action,
        eighth,
        np.array(widths, dtype=np.int64),
        first_line=0,
        _line=np.array(lines, dtype=np.int64),
    )
