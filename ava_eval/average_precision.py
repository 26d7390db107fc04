"""Average precision of one action: the area under the precision envelope over recall."""

from __future__ import annotations

import numpy as np

from ava_eval.protocol import Ties


def average_precision(
    scores: np.ndarray, correct: np.ndarray, num_groundtruth: int, ties: Ties = "fp-first"
) -> float:
    """The AP of detections with ``scores`` f[N], ``correct`` bool[N] being true positives.

    As the official ``metrics.compute_average_precision`` (every point, envelope from the right).
    NaN without ground truth, 0 without detections. ``official`` depends on the order of equal
    scores and, as ``numpy.argsort`` does, on the processor.
    """
    if ties == "official":
        places = np.flatnonzero(correct[np.argsort(scores)[::-1]])
        return area(places - np.arange(len(places)), num_groundtruth)
    return bounds(scores, correct, num_groundtruth)[0]


def bounds(scores: np.ndarray, correct: np.ndarray, num_groundtruth: int) -> tuple[float, float]:
    """The APs of the worst and of the best order of equal scores."""
    hits, misses = np.sort(scores[correct])[::-1], np.sort(scores[~correct])
    # The misses that rank before each hit: those of its score too, or only those above it.
    place = np.searchsorted(misses, hits, side="left")
    lower = area(len(misses) - place, num_groundtruth)
    equal = np.append(misses, np.inf)[place] == hits
    equal &= place < len(misses)
    if not equal.any():
        return lower, lower
    place[equal] = np.searchsorted(misses, hits[equal], side="right")
    return lower, area(len(misses) - place, num_groundtruth)


def area(before: np.ndarray, num_groundtruth: int) -> float:
    """The AP of true positives that have ``before`` i64[H] false positives before them."""
    if num_groundtruth == 0:
        return float("nan")
    found = np.arange(1, len(before) + 1)
    precision = np.maximum.accumulate((found / (found + before))[::-1])[::-1]
    recall = np.concatenate([[0.0], found / num_groundtruth])
    areas = np.diff(recall) * precision
    if len(found) < num_groundtruth:
        # The official sum has a last term of zero here; the rounding depends on the number of terms
        areas = np.append(areas, 0.0)
    return float(np.sum(areas))
