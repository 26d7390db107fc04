"""A column whose values repeat: categories and codes, as pandas calls them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Categorical:
    """Row ``i`` of the column is ``categories[codes[i]]``; ``codes`` i32[N]. Categories may
    repeat."""

    categories: list[Any]
    codes: np.ndarray

    @classmethod
    def of(cls, column: Sequence[Any]) -> Categorical:
        """A column of plain Python values."""
        code_of = {value: code for code, value in enumerate(dict.fromkeys(column))}
        codes = np.fromiter((code_of[value] for value in column), np.int32, len(column))
        return cls(list(code_of), codes)

    def where(self, keep: np.ndarray) -> Categorical:
        """The rows of the mask ``keep``."""
        return Categorical(self.categories, self.codes[keep])
