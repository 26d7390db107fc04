"""A column whose values repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Words:
    """Row ``i`` of the column is ``values[codes[i]]``; ``codes`` i32[N]. Values may repeat."""

    values: list[Any]
    codes: np.ndarray

    @classmethod
    def of(cls, column: Sequence[Any]) -> Words:
        """The words of a column in plain Python."""
        code_of = {value: code for code, value in enumerate(dict.fromkeys(column))}
        codes = np.fromiter((code_of[value] for value in column), np.int32, len(column))
        return cls(list(code_of), codes)

    def where(self, keep: np.ndarray) -> Words:
        """The rows of the mask ``keep``."""
        return Words(self.values, self.codes[keep])
