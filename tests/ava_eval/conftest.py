"""A small data set in memory, for the tests of ``ava_eval``."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from ava_eval.tables import ANNOTATION_COLUMNS, DETECTION_COLUMNS


@pytest.fixture
def label_map() -> pd.DataFrame:
    return pd.DataFrame({"action_id": [1, 15, 80], "name": ["walk", "wave, twice", "talk"]})


@pytest.fixture
def annotations() -> Callable[[list[tuple]], pd.DataFrame]:
    return lambda rows: pd.DataFrame(rows, columns=ANNOTATION_COLUMNS)


@pytest.fixture
def detections() -> Callable[[list[tuple]], pd.DataFrame]:
    return lambda rows: pd.DataFrame(rows, columns=DETECTION_COLUMNS)
