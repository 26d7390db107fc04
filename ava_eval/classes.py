"""The classes that count, without pandas: a label map as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# AVA's three kinds of action and the ids of each (label_type of its action list).
GROUPS = {
    "person_movement": range(1, 15),
    "object_manipulation": range(15, 64),
    "person_interaction": range(64, 81),
}


@dataclass(frozen=True)
class Classes:
    """``ids`` i64[C], ascending, their ``names``, and ``listing`` i64[C], the order of the file."""

    ids: np.ndarray
    names: list[str]
    listing: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, labels: list[tuple[int, str]]) -> Classes:
        """From pairs of id and name in the order of their file; ids are unique."""
        order = sorted(range(len(labels)), key=lambda row: labels[row][0])
        return cls(
            np.array([labels[row][0] for row in order], dtype=np.int64),
            [labels[row][1] for row in order],
            np.argsort(order),
        )

    @classmethod
    def of_table(cls, label_map: pd.DataFrame) -> Classes:
        """From a ``LabelMap``."""
        ids = label_map["action_id"].to_numpy(np.int64).tolist()
        return cls.of(list(zip(ids, label_map["name"].astype(str), strict=True)))

    def group(self, name: str) -> np.ndarray:
        """Marks the classes of one of ``GROUPS`` -> bool[C]."""
        members = GROUPS[name]
        return (self.ids >= members.start) & (self.ids < members.stop)
