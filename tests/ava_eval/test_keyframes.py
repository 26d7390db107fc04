"""Keyframes are told apart as the official script's text keys tell them apart."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ava_eval.keyframes import canonical_times, distinct_keyframes, format_times, keyframe_codes


def official_key(seconds: float) -> str:
    return f"{seconds:.6f}"


def test_canonical_times_are_the_official_text() -> None:
    rng = np.random.default_rng(0)
    halves = (rng.integers(0, 10**10, 300) + 0.5) / 1e6  # the hard ones
    special = [0.0, -0.0, -1e-9, 1e300, 2.0**53 + 2, np.inf, -np.inf, np.nan, 902.0000005]
    times = np.concatenate([halves, -halves, rng.random(300) * 1e4, special])
    found = canonical_times(times)
    assert [repr(v) for v in found.tolist()] == [repr(float(official_key(v))) for v in times]


def test_codes_agree_across_tables() -> None:
    seconds = [902.0, 902.0000004, 902.000001, 0.0, -0.0, np.nan, np.nan]
    one = pd.DataFrame({"video_id": "a", "timestamp": seconds})
    two = pd.DataFrame({"video_id": ["b", "a", "a"], "timestamp": [902.0, 902.0, np.nan]})
    first, second = keyframe_codes(one, two)
    assert first.tolist() == [0, 0, 1, 2, 3, 4, 4]
    assert second.tolist() == [5, 0, 4]
    assert len(distinct_keyframes(one)) == 5


def test_times_are_written_as_in_ava() -> None:
    times = np.array([902.0, 7.0, 12345.0, 902.5, 902.033333, 902.0000001])
    expected = ["0902", "0007", "12345", "902.5", "902.033333", "0902"]
    assert format_times(times).tolist() == expected
