"""The actions of a person by name, the likeliest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Actions:
    """The classes that are told: their columns among the model's scores, ids and short names."""

    columns: tuple[int, ...]
    ids: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, known: pd.DataFrame, scored: Iterable[int]) -> Actions:
        """Those of the model's ``known`` LabelMap, in its order, whose ids are among ``scored``."""
        columns = np.flatnonzero(known["action_id"].isin(list(scored)))
        return cls(
            tuple(columns.tolist()),
            tuple(known["action_id"].iloc[columns].tolist()),
            tuple(name.split(" (")[0] for name in known["name"].iloc[columns]),
        )

    def best(self, scores: np.ndarray, count: int, least: float = 0.0) -> list[dict[str, Any]]:
        """The likeliest of scores f[C], best first, none below ``least``."""
        told = scores[list(self.columns)]
        order = np.argsort(-told, kind="stable")[:count]
        return [
            {"id": self.ids[n], "name": self.names[n], "score": round(float(told[n]), 4)}
            for n in order.tolist()
            if told[n] >= least
        ]
