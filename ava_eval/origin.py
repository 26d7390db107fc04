"""Where the rows of a table come from, for errors that name the offending cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ava_eval.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


# Anything that gives a column by its name.
Columns: TypeAlias = "pd.DataFrame | Mapping[str, np.ndarray]"


@dataclass(frozen=True)
class Origin:
    """Where a table's rows come from: a file and the line of each row, or a table in memory."""

    name: str | PathLike[str]
    lines: np.ndarray | None = None
    rows: np.ndarray | None = None  # the numbers of a table's rows, if it is not whole

    def where(self, keep: np.ndarray) -> Origin:
        """The origin of the rows of the mask ``keep``."""
        if self.lines is not None:
            return Origin(self.name, self.lines[keep])
        rows = np.arange(len(keep)) if self.rows is None else self.rows
        return Origin(self.name, None, rows[keep])

    def error(
        self, row: int, column: str, expected: str, got: object, remedy: str = ""
    ) -> InputError:
        """The error for one cell; ``row`` counts from 0."""
        if self.lines is None:
            row = row if self.rows is None else int(self.rows[row])
            return InputError.at(f"{self.name}: row {row}", None, column, expected, got, remedy)
        return InputError.at(self.name, int(self.lines[row]), column, expected, got, remedy)

    def require(
        self,
        good: np.ndarray,
        table: Columns,
        columns: str | Sequence[str],
        expected: str,
        remedy: str = "",
    ) -> None:
        """Raise for the first row of ``table`` where ``good`` bool[N] is False."""
        if good.all():
            return
        row = int(np.argmin(good))
        names = [columns] if isinstance(columns, str) else list(columns)
        got = [np.asarray(table[name])[row] for name in names]
        got = [value.item() if isinstance(value, np.generic) else value for value in got]
        raise self.error(
            row, ",".join(names), expected, got[0] if len(got) == 1 else tuple(got), remedy
        )
