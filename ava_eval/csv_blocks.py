"""The rows of a CSV in AVA's family, a block of lines at a time: parsed by threads, in file order.

One odd row costs the fast parser one block, and a file of any size is read in a few megabytes. From
the first quote on, the plain parser reads the rest: a quoted line end could cross blocks.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from os import PathLike
from typing import BinaryIO, TypeVar

from ava_eval.csv_parsing import Block, Parsed, Problem, delimiter_of, parse, parse_slowly
from ava_eval.open_files import Digest, open_input

BLOCK_BYTES = 4 << 20
BYTE_ORDER_MARK = "\ufeff"
T = TypeVar("T")


def read_blocks(
    path: str | PathLike[str],
    *,
    labels: bool = True,
    digest: Digest | None = None,
    on_problem: Callable[[Problem], None] | None = None,
    official: bool = False,
) -> Iterator[Block]:
    """Yield the rows of a CSV, or of a CSV in gzip when its name ends in ``.gz``.

    ``labels=False`` leaves the seventh column unread (published person boxes leave it empty); every
    action is then 0. ``digest`` is fed the bytes of the file. A row that cannot be read raises
    ``InputError`` with file, line and column, or, with ``on_problem``, is told to it and left out;
    a file that cannot be read always raises. ``official`` holds the file to the official form: a
    byte-order mark is a problem, and so is every row of a tab-separated file.
    """

    def nothing(_: Block) -> None:
        return None

    blocks = map_blocks(
        path, nothing, labels=labels, digest=digest, on_problem=on_problem, official=official
    )
    for block, _ in blocks:
        yield block


def map_blocks(
    path: str | PathLike[str],
    work: Callable[[Block], T],
    *,
    labels: bool = True,
    digest: Digest | None = None,
    on_problem: Callable[[Problem], None] | None = None,
    official: bool = False,
) -> Iterator[tuple[Block, T]]:
    """``read_blocks``, and ``work`` on each of them by the thread that read it.

    To ``work`` each block seems to begin on line 0.
    """

    def tell(problem: Problem) -> None:
        if on_problem is None:
            raise problem.error(path)
        on_problem(problem)

    with open_input(path, digest) as file:
        start = file.read(len(BYTE_ORDER_MARK.encode()))
        if start == BYTE_ORDER_MARK.encode():
            start = b""
            if official:
                tell(Problem(1, "video_id", "no byte-order mark in front", BYTE_ORDER_MARK))
        line = 1
        delimiter = "," if official else None
        for parsed, done in _in_order(_cut(start, file), labels, delimiter, work):
            for problem in parsed.problems:
                tell(problem._replace(line=problem.line + line))
            for result in done:
                yield replace(parsed.block, first_line=line), result
            line += parsed.num_lines


def _cut(start: bytes, file: BinaryIO) -> Iterator[bytes]:
    """``start`` and the rest of a file in pieces that end with a line, the last perhaps without."""
    pieces = [start]
    while data := file.read(BLOCK_BYTES):
        end = data.rfind(b"\n") + 1
        if not end:
            pieces.append(data)
            continue
        yield b"".join([*pieces, data[:end]])
        pieces = [data[end:]]
    if rest := b"".join(pieces):
        yield rest


def _in_order(
    pieces: Iterator[bytes], labels: bool, delimiter: str | None, work: Callable[[Block], T]
) -> Iterator[tuple[Parsed, list[T]]]:
    """Parse the pieces, several at a time; from the first quote on one after the other.

    The ``delimiter`` is seen from the pieces where it is None. Beside each block is what ``work``
    made of it, unless it has no rows.
    """

    def with_work(parsed: Parsed) -> tuple[Parsed, list[T]]:
        return parsed, [work(parsed.block)] if len(parsed.block) else []

    def read(piece: bytes, delimiter: str) -> list[tuple[Parsed, list[T]]]:
        return [with_work(parsed) for parsed in parse(piece, labels, delimiter)]

    workers = min(_num_processors(), 8)
    pending: deque[Future[list[tuple[Parsed, list[T]]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for piece in pieces:
            delimiter = delimiter or delimiter_of(piece)
            if b'"' in piece:
                break
            pending.append(pool.submit(read, piece, delimiter or ","))
            if len(pending) > workers + 1:
                yield from pending.popleft().result()
        else:
            piece = b""
        while pending:
            yield from pending.popleft().result()
    if piece:
        rest = itertools.chain([piece], pieces)
        yield from map(with_work, parse_slowly(rest, labels, delimiter or ","))


def _num_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
