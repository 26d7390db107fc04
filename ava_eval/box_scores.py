"""Person boxes and a score for every action: what a model gives, without a row per action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ava_eval.errors import InputError
from ava_eval.tables import BOX, KEYFRAME_COLUMNS, require_columns

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class BoxScores:
    """``boxes`` has the columns ``video_id timestamp x1 y1 x2 y2`` (``PersonBoxes``), N rows;
    ``scores`` f[N,C] belong to the actions ``action_ids`` i64[C]. Nothing is NaN.

    The same as the ``Detections`` that list for each box, in order, a row for each action.
    """

    boxes: pd.DataFrame
    scores: np.ndarray
    action_ids: np.ndarray

    def __post_init__(self) -> None:
        if np.asarray(self.scores).dtype.kind != "f":
            raise InputError(f"scores: expected floating point, got {self.scores.dtype}")
        require_columns(self.boxes, [*KEYFRAME_COLUMNS, *BOX], "boxes")
        expected = (len(self.boxes), len(self.action_ids))
        if self.scores.shape != expected:
            raise InputError(f"scores: expected an array of {expected}, got {self.scores.shape}")
        if len(np.unique(self.action_ids)) != len(self.action_ids):
            raise InputError("action_ids: expected each id once")
