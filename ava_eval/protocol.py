"""Whose rules: what each published evaluation of AVA counts, caps and orders.

Years name the official script of ActivityNet (``Evaluation/get_ava_performance.py``) at commits
be7854e, 3fee089 and 82304fa (today's); the others are the scorers of PySlowFast (287ec00,
``slowfast/utils/ava_eval_helper.py``) and mmaction2 (4d6c934,
``mmaction/evaluation/functional/ava_utils.py``), applied to a CSV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

# The order of the rows of one keyframe before each takes its ground-truth box:
# "heap"     by descending score, equal ones as CPython's heap array leaves them
# "stable"   by descending score, equal ones as in the file
# "argsort"  by descending score within each class, equal ones as numpy.argsort leaves them
# "file"     as in the file, whatever the scores
Order = Literal["heap", "stable", "argsort", "file"]


# The order of equal scores: false positives first, which gives the lowest value of any order, or as
# numpy.argsort leaves them, like the official script.
Ties = Literal["fp-first", "official"]
TIES: tuple[Ties, ...] = get_args(Ties)


@dataclass(frozen=True)
class Protocol:
    """What differs between the evaluations; the rest (IoU, AP) they share.

    Detections on a keyframe that the ground truth does not know are false positives if
    ``unknown_keyframes_count``, else ignored. A keyframe that it knows always counts, but for
    ``needs_listed_truth``: then only if it has a box of a listed action.
    """

    name: str
    source: str
    capacity: int | None = None  # rows a keyframe, the best ones
    order: Order = "heap"  # of the detections of a keyframe
    truth_order: Order = "heap"  # of its ground truth; decides between equal overlaps
    unknown_keyframes_count: bool = True
    needs_listed_truth: bool = False
    excluded_truth_counts: bool = False  # boxes on excluded keyframes stay in the denominator
    empty_boxes_count: bool = False  # detections without area are false positives, else dropped
    undetected_classes_count: bool = True  # a class without detections has AP 0, else none
    lowest_score: float = -np.inf  # detections at or below it are dropped
    class_capacity: int | None = None  # rows a keyframe and class, the best ones
    precision: type[np.floating] = np.float64
    # What the original refuses and today's official script takes; we take it and say so.
    refuses: tuple[str, ...] = ()

    def sound(self, corners: np.ndarray) -> np.ndarray:
        """Marks the boxes f[B,4] that a detection may have -> bool[B]."""
        x1, y1, x2, y2 = corners.T
        if self.empty_boxes_count:
            return ~((x1 > x2) | (y1 > y2))
        return (x1 < x2) & (y1 < y2)


_OLD = ("two_columns", "odd_times")

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="2020",
            source="ActivityNet 82304fa",
            capacity=50,
            unknown_keyframes_count=False,
        ),
        Protocol(name="2019", source="ActivityNet 3fee089", capacity=50, refuses=_OLD),
        Protocol(
            name="2018",
            source="ActivityNet be7854e",
            # Its per-image evaluation passes through a non-maximum suppression that suppresses
            # nothing (threshold 1) but sorts, drops scores up to -10 and keeps 10,000 a class.
            order="argsort",
            truth_order="file",
            lowest_score=-10.0,
            class_capacity=10_000,
            refuses=_OLD,
        ),
        Protocol(
            name="pyslowfast",
            source="PySlowFast 287ec00",
            order="file",
            truth_order="file",
            refuses=(*_OLD, "unscored"),
        ),
        Protocol(
            name="mmaction2",
            source="mmaction2 4d6c934",
            order="stable",
            truth_order="stable",
            unknown_keyframes_count=False,
            needs_listed_truth=True,
            excluded_truth_counts=True,
            empty_boxes_count=True,
            undetected_classes_count=False,
            precision=np.float32,
            refuses=(*_OLD, "inverted_boxes"),
        ),
    )
}
