"""Average precision of one action: the area under the precision envelope over recall."""

from __future__ import annotations

from typing import Literal

import numpy as np


def average_precision(
    scores: np.ndarray,
    correct: np.ndarray,
    num_groundtruth: int,
    ties: Literal["fp-first", "tp-first"] = "fp-first",
) -> float:
    """The AP of detections with ``scores`` f64[N], ``correct`` bool[N] being true positives.

    As the official ``metrics.compute_average_precision`` (every point, envelope from the right),
    with a fixed order of equal scores: false positives first is the lowest value that any order
    gives, true positives first the highest. NaN without ground truth, 0 without detections.
    """
    if num_groundtruth == 0:
        return float("nan")
    hits = np.sort(scores[correct])[::-1]
    misses = np.sort(scores[~correct])
    # The misses that rank before each hit: those of its score too, or only those above it.
    side: Literal["left", "right"] = "left" if ties == "fp-first" else "right"
    before = len(misses) - np.searchsorted(misses, hits, side=side)
    found = np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate((found / (found + before))[::-1])[::-1]
    recall = np.concatenate([[0.0], found / num_groundtruth])
    return float(np.sum(np.diff(recall) * precision))
