"""Which detections are true positives, for all keyframes and actions at once.

The rules are those of the official script's ``per_image_evaluation.py``: a detection looks at the
one ground-truth box of its action that it overlaps most, and is right when the overlap is at least
0.5 and no detection of a higher score has that box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ava_eval.protocol import heap_order


@dataclass(frozen=True)
class Boxes:
    """Labelled boxes, a row each and in the order of their file.

    ``keyframe`` i64[N] numbers the keyframes, ``action`` i64[N] the actions from 0 on in the order
    of their ids, ``box`` f64[N,4] is x1 y1 x2 y2, ``score`` f64[N].
    """

    keyframe: np.ndarray
    action: np.ndarray
    box: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.keyframe)

    def where(self, keep: np.ndarray) -> Boxes:
        """The rows of a mask or of row numbers."""
        return Boxes(self.keyframe[keep], self.action[keep], self.box[keep], self.score[keep])


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of the pairs of a f64[N,4] and b f64[N,4] -> f64[N].

    The operations and their order are those of ``np_box_ops.iou``: bits decide at 0.5.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        size = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
        size = np.maximum(0.0, size)
        intersection = size[:, 1] * size[:, 0]
        areas = [(box[:, 3] - box[:, 1]) * (box[:, 2] - box[:, 0]) for box in (a, b)]
        return intersection / (areas[0] + areas[1] - intersection)


def true_positives(detections: Boxes, truth: Boxes, min_overlap: float = 0.5) -> np.ndarray:
    """Mark the detections that are right -> bool[len(detections)].

    Detections must be valid (x1 < x2, y1 < y2). Among detections of one score that compete for a
    box the first in the file is marked; which one it is changes no average precision.
    """
    marked = np.zeros(len(detections), dtype=bool)
    stand_in = _stand_ins(truth)
    pair_detection, pair_truth, first_pair = _pairs(detections, truth, stand_in)
    if not len(pair_detection):
        return marked
    value = overlap(detections.box[pair_detection], truth.box[pair_truth])
    value[np.isnan(value)] = np.inf  # numpy's argmax takes NaN for the largest; it matches nothing
    best = np.maximum.reduceat(value, first_pair)
    best[best == np.inf] = -np.inf
    group = np.repeat(np.arange(len(best)), np.diff(first_pair, append=len(value)))
    chosen = np.flatnonzero((value == best[group]) & (best[group] >= min_overlap))
    chosen = _settle_equal_overlaps(chosen, group[chosen], pair_truth, truth, stand_in)
    # The highest score takes the box.
    candidate, box = pair_detection[chosen], pair_truth[chosen]
    order = np.lexsort((-detections.score[candidate], box))
    winner = np.diff(box[order], prepend=-1) != 0
    marked[candidate[order][winner]] = True
    return marked


def _stand_ins(truth: Boxes) -> np.ndarray:
    """For each box the first row with the same keyframe, action and corners -> i64[len(truth)].

    Equal boxes overlap equally with everything, so that the official argmax only ever reaches one
    of them: for matching they are one box, though each counts as ground truth.
    """
    order = np.lexsort((*truth.box.T, truth.action, truth.keyframe))
    previous = np.roll(order, 1)
    first = truth.keyframe[order] != truth.keyframe[previous]
    first |= truth.action[order] != truth.action[previous]
    first |= (truth.box[order] != truth.box[previous]).any(axis=1)
    first[:1] = True
    stand_in = np.empty(len(truth), dtype=np.int64)
    stand_in[order] = order[first][np.cumsum(first) - 1]
    return stand_in


def _pairs(
    detections: Boxes, truth: Boxes, stand_in: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pair each detection with the distinct boxes of its keyframe and action in the ground truth.

    Returns the pairs' rows in detections and in truth, and where each detection's run of pairs
    starts.
    """
    actions = max(detections.action.max(initial=0), truth.action.max(initial=0)) + 1
    group = truth.keyframe * actions + truth.action
    rows = np.flatnonzero(stand_in == np.arange(len(truth)))
    rows = rows[np.argsort(group[rows], kind="stable")]
    groups, start, count = np.unique(group[rows], return_index=True, return_counts=True)
    wanted = detections.keyframe * actions + detections.action
    place = np.searchsorted(groups, wanted)
    place[place == len(groups)] = 0
    found = np.flatnonzero(groups[place] == wanted) if len(groups) else np.zeros(0, np.int64)
    place = place[found]
    first_pair = np.cumsum(count[place]) - count[place]
    within = np.arange(count[place].sum()) - np.repeat(first_pair, count[place])
    return (
        np.repeat(found, count[place]),
        rows[np.repeat(start[place], count[place]) + within],
        first_pair,
    )


def _settle_equal_overlaps(
    chosen: np.ndarray,
    group: np.ndarray,
    pair_truth: np.ndarray,
    truth: Boxes,
    stand_in: np.ndarray,
) -> np.ndarray:
    """Keep one pair of each detection: among equal overlaps, the first in the official order."""
    doubtful = np.zeros(len(chosen), dtype=bool)
    repeated = np.diff(group) == 0
    doubtful[1:] |= repeated
    doubtful[:-1] |= repeated
    if not doubtful.any():
        return chosen
    keyframes = np.unique(truth.keyframe[pair_truth[chosen[doubtful]]])
    rows = np.flatnonzero(np.isin(truth.keyframe, keyframes))
    rows = rows[np.argsort(truth.keyframe[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(truth.keyframe[rows], prepend=-1))
    rank = np.full(len(truth), len(truth))
    for frame in np.split(rows, starts[1:]):  # few: only where different boxes overlap equally
        ordered = heap_order(truth.score, truth.action, truth.box, frame)
        np.minimum.at(rank, stand_in[ordered], np.arange(len(ordered)))
    order = np.lexsort((rank[pair_truth[chosen]], group))
    first = np.diff(group[order], prepend=-1) != 0
    return chosen[order[first]]
