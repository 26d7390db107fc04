"""Precision over recall of one action, as the AP sums it, in few enough steps to draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_STEPS = 80


@dataclass(frozen=True)
class Curve:
    """Precision and recall f64[P] when the detections from ``score`` f64[P] on are kept.

    A point for each true positive, by descending score; of equal scores all are kept.
    """

    recall: np.ndarray
    precision: np.ndarray
    score: np.ndarray

    @property
    def envelope(self) -> np.ndarray:
        """The best precision at this recall or more, f64[P]: what the AP is the area under."""
        return np.maximum.accumulate(self.precision[::-1])[::-1]

    @property
    def best(self) -> int | None:
        """The point of the best F1; None where nothing was found."""
        if not len(self.score):
            return None
        return int(np.argmax(self.f1))

    @property
    def f1(self) -> np.ndarray:
        """The harmonic mean of precision and recall, f64[P]."""
        return 2 * self.precision * self.recall / (self.precision + self.recall)

    def outline(self) -> list[tuple[float, float]]:
        """Recall and envelope as the corners of steps, from recall 0 on; their area is the AP.

        (Where equal scores are found apart, the AP is a little less.) Very long ones are thinned,
        to what lies below them.
        """
        if not len(self.recall):
            return []
        envelope = self.envelope
        last = np.flatnonzero(np.append(np.diff(envelope) != 0, True))  # of each step
        if len(last) > MOST_STEPS:
            last = last[np.linspace(0, len(last) - 1, MOST_STEPS).round().astype(int)]
        ends, heights = self.recall[last].tolist(), envelope[last].tolist()
        starts = [0.0, *ends[:-1]]
        return [
            (recall, height)
            for start, end, height in zip(starts, ends, heights, strict=True)
            for recall in (start, end)
        ]


def precision_recall(scores: np.ndarray, correct: np.ndarray, num_groundtruth: int) -> Curve:
    """The curve of detections with ``scores`` f[N], ``correct`` bool[N] being true positives."""
    hits, misses = np.sort(scores[correct])[::-1], np.sort(scores[~correct])
    # A threshold keeps what equals it: all of the hits, and all of the misses.
    kept = len(hits) - np.searchsorted(hits[::-1], hits, side="left")
    wrong = len(misses) - np.searchsorted(misses, hits, side="left")
    recall = kept / max(num_groundtruth, 1)
    return Curve(recall, kept / (kept + wrong), hits.astype(np.float64))
