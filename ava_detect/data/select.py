"""Rows of a table that belong to given keyframes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ava_eval.keyframes import keyframe_codes


def only_keyframes(table: pd.DataFrame, keyframes: pd.DataFrame) -> pd.DataFrame:
    """The rows of ``table`` whose keyframe is among ``keyframes``, numbered anew."""
    return table[_among(table, keyframes)].reset_index(drop=True)


def without_keyframes(table: pd.DataFrame, keyframes: pd.DataFrame) -> pd.DataFrame:
    """The other rows of ``table``, numbered anew."""
    return table[~_among(table, keyframes)].reset_index(drop=True)


def _among(table: pd.DataFrame, keyframes: pd.DataFrame) -> np.ndarray:
    mine, theirs = keyframe_codes(table, keyframes)
    return np.isin(mine, theirs)
