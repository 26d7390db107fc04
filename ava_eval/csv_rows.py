"""All rows of a CSV in AVA's family as one table; see ``csv_parsing`` for what it may look like."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

import numpy as np
import pandas as pd

from ava_eval.categorical import Categorical
from ava_eval.csv_blocks import read_blocks
from ava_eval.csv_parsing import NAMES, Block
from ava_eval.errors import InputError
from ava_eval.keyframes import canonical_times
from ava_eval.origin import Origin


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
    blocks = list(read_blocks(path, labels=labels))
    measures = [np.stack([*block.corners, block.eighth]) for block in blocks]
    x1, y1, x2, y2, eighth = np.concatenate([np.zeros((5, 0)), *measures], axis=1)
    table = pd.DataFrame(
        {
            "video_id": _joined([block.video for block in blocks], object),
            "timestamp": canonical_times(_joined([block.time for block in blocks], np.float64)),
            **dict(zip(NAMES[2:6], (x1, y1, x2, y2), strict=True)),
            "action_id": _joined([_in_64_bits(block, path) for block in blocks], np.int64),
            "score": eighth,
        }
    )
    table["video_id"] = table["video_id"].astype(str)
    none = [np.zeros(0, dtype=np.int64)]
    lines = np.concatenate([*none, *(block.lines for block in blocks)])
    return CsvRows(
        table,
        np.concatenate([*none, *(block.width for block in blocks)]),
        Origin(path, lines),
    )


def _joined(words: list[Categorical], kind: type) -> np.ndarray:
    """The columns of the blocks, one behind the other, as values."""
    parts = [np.array(part.categories, dtype=kind)[part.codes] for part in words]
    return np.concatenate([np.zeros(0, dtype=kind), *parts])


def _in_64_bits(block: Block, path: str | PathLike[str]) -> Categorical:
    """The actions; ``InputError`` for a number that a table cannot hold."""
    wrong = [not -(2**63) <= action < 2**63 for action in block.action.categories]
    if any(wrong):
        row = int(np.flatnonzero(np.array(wrong)[block.action.codes])[0])
        got = block.action.categories[block.action.codes[row]]
        expected = "a whole number of 64 bits"
        raise InputError.at(path, int(block.lines[row]), "action_id", expected, got)
    return block.action
