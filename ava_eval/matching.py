"""Which detections are true positives, for all keyframes and actions at once.

The rules are those of the official script's ``per_image_evaluation.py``: a detection looks at the
one ground-truth box of its action that it overlaps most, and is right when the overlap is at least
0.5 and no detection before it, in the order of the protocol, has that box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ava_eval.labelled_boxes import LabelledBoxes, changes, expand, run_starts, stable_order

MIN_OVERLAP = 0.5
_CHUNK = 1 << 16  # pairs looked at together
_LARGEST_TABLE = 1 << 26
# The rows of one keyframe of the ground truth -> those rows in the order that decides between
# equal overlaps.
TruthOrder = Callable[[LabelledBoxes, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Hits:
    """The true positives: ``found`` i64[H] are their rows among the detections, ascending, and
    ``truth`` i64[H] the rows of the ground truth that they found."""

    found: np.ndarray
    truth: np.ndarray


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of the pairs of a f[N,4] and b f[N,4] -> f64[N].

    The operations, their order and their types are those of ``np_box_ops.iou``: bits decide at 0.5.
    (On float32 boxes, mmaction2's, it computes edges and areas in float32, the rest in float64.)
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        size = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
        size = np.maximum(0.0, size.astype(np.float64))
        intersection = size[:, 1] * size[:, 0]
        areas = [(box[:, 3] - box[:, 1]) * (box[:, 2] - box[:, 0]) for box in (a, b)]
        return intersection / ((areas[0] + areas[1]) - intersection)


def find_hits(
    found: LabelledBoxes,
    truth: LabelledBoxes,
    *,
    by_score: bool = True,
    rank: np.ndarray | None = None,
    truth_order: TruthOrder | None = None,
) -> Hits:
    """Match detections to ground truth.

    The detections of a keyframe choose by descending score, among equal scores by ``rank`` i64[N],
    then as they come in the file; or, if not ``by_score``, as they come in the file. Which of equal
    scores has a box changes no average precision that has a rule for ties.
    ``truth_order`` decides between equal overlaps; the first in the file without it.
    """
    stand_in = _stand_ins(truth)
    chosen = [np.zeros((2, 0), dtype=np.int64)]
    for pair_found, pair_truth, starts in _pairs(found, truth, stand_in):
        value = overlap(found.corners[found.box[pair_found]], truth.corners[truth.box[pair_truth]])
        value[np.isnan(value)] = np.inf  # numpy's argmax takes NaN for the largest; it is no match
        best = np.maximum.reduceat(value, starts)
        best[best == np.inf] = -np.inf
        best = np.repeat(best, np.diff(starts, append=len(value)))
        some = (value == best) & (best >= MIN_OVERLAP)
        chosen.append(np.stack([pair_found[some], pair_truth[some]]))
    candidate, box = np.concatenate(chosen, axis=1)
    candidate, box = _settle_equal_overlaps(candidate, box, truth, stand_in, truth_order)
    order = stable_order(box)
    if by_score:
        order = _least(order, box, -found.score[candidate])
        order = order if rank is None else _least(order, box, rank[candidate])
    order = order[run_starts(box[order])]
    order = order[np.argsort(candidate[order])]
    return Hits(candidate[order], box[order])


def _least(order: np.ndarray, group: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Of the rows ``order``, sorted by ``group``, those with the least ``key`` of their group."""
    starts = run_starts(group[order])
    if not len(starts):
        return order
    key = key[order]
    least = np.minimum.reduceat(key, starts)
    return order[key == np.repeat(least, np.diff(starts, append=len(key)))]


def _stand_ins(truth: LabelledBoxes) -> np.ndarray:
    """For each row the first one of the same keyframe, action and corners -> i64[len(truth)].

    Equal boxes overlap equally with everything, so that the official argmax only ever reaches one
    of them: for matching they are one box, though each counts as ground truth.
    """
    stand_in = np.arange(len(truth))
    cell = truth.cell_of_row(_num_actions(truth))
    rows = stable_order(cell)
    group, rows = _with_equals(cell[rows], rows)
    for corner in range(4):  # ever fewer rows have an equal
        value = truth.corners[truth.box[rows], corner]
        order = np.lexsort((value, group))
        group, rows, value = group[order], rows[order], value[order]
        group, rows = _with_equals(np.cumsum(changes(group, value)), rows)
    starts = run_starts(group)
    stand_in[rows] = np.repeat(rows[starts], np.diff(starts, append=len(rows)))
    return stand_in


def _with_equals(group: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of rows sorted by ``group``, those that are not alone in it."""
    starts = run_starts(group)
    size = np.diff(starts, append=len(rows))
    keep = np.repeat(size > 1, size)
    return group[keep], rows[keep]


def _num_actions(*sides: LabelledBoxes) -> int:
    return max(int(side.action.max(initial=0)) for side in sides) + 1


def _pairs(
    found: LabelledBoxes, truth: LabelledBoxes, stand_in: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pair each detection with the distinct boxes of its keyframe and action in the ground truth.

    Yields the pairs' rows in detections and in truth, and where each detection's run of pairs
    starts.
    """
    if not len(truth) or not len(found):
        return
    actions = _num_actions(found, truth)
    rows = np.flatnonzero(stand_in == np.arange(len(truth)))
    group = truth.cell_of_row(actions)[rows]
    order = stable_order(group)
    rows, group = rows[order], group[order]
    start = run_starts(group)
    group, size = group[start], np.diff(start, append=len(group))
    place = places(found.cell_of_row(actions), group)
    candidate = np.flatnonzero(place >= 0)
    place = place[candidate]
    ends = np.cumsum(size[place])
    cuts = np.searchsorted(ends, np.arange(_CHUNK, ends[-1] if len(ends) else 0, _CHUNK))
    for some in np.split(np.arange(len(candidate)), np.unique(cuts)):
        if not len(some):
            continue
        count = size[place[some]]
        pair, of_candidate = expand(start[place[some]], count)
        yield candidate[some][of_candidate], rows[pair], np.cumsum(count) - count


def places(numbers: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each of ``numbers``, integers from 0 on, stands in ``wanted``, -1 if it does not."""
    size = int(max(numbers.max(initial=0), wanted.max(initial=0))) + 1
    if size > _LARGEST_TABLE:
        if not len(wanted):
            return np.full(len(numbers), -1)
        order = np.argsort(wanted, kind="stable")
        at = np.searchsorted(wanted, numbers, sorter=order)
        place = np.append(order, -1)[at]
        return np.where(wanted[place] == numbers, place, -1)
    table = np.full(size, -1, dtype=np.int32)
    table[wanted] = np.arange(len(wanted))
    return table[numbers]


def _settle_equal_overlaps(
    candidate: np.ndarray,
    box: np.ndarray,
    truth: LabelledBoxes,
    stand_in: np.ndarray,
    truth_order: TruthOrder | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Keep one box of each candidate: among equal overlaps, the first in the official order."""
    repeated = np.zeros(len(candidate), dtype=bool)
    repeated[1:] = candidate[1:] == candidate[:-1]
    if not repeated.any():
        return candidate, box
    rank = np.arange(len(truth))
    if truth_order is not None:  # few keyframes: only where different boxes overlap equally
        doubtful = truth.keyframe_of_row[box[repeated]]
        rows = np.flatnonzero(np.isin(truth.keyframe_of_row, doubtful))
        rows = rows[stable_order(truth.keyframe_of_row[rows])]
        rank = np.full(len(truth), len(truth))
        for frame in np.split(rows, run_starts(truth.keyframe_of_row[rows])[1:]):
            ordered = truth_order(truth, frame)
            np.minimum.at(rank, stand_in[ordered], np.arange(len(ordered)))
    order = np.lexsort((rank[box], candidate))
    order = order[run_starts(candidate[order])]
    return candidate[order], box[order]
