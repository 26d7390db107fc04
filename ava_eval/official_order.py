"""The order of equal scores in the original scripts: what ``--ties official`` reproduces.

Each script puts the detections of a keyframe into its own order, appends keyframe after keyframe to
an array per class, and sorts that with ``numpy.argsort``. The order of equal scores then decides
the result; to get the same bits, the same arrays have to be built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ava_eval.capacity import heap_order
from ava_eval.labelled_boxes import LabelledBoxes, run_starts, stable_order
from ava_eval.matching import Hits, places
from ava_eval.protocol import Order, Protocol


@dataclass(frozen=True)
class OfficialOrder:
    """``rows`` i64[N] of the detections as they stand in the arrays of a script; ``classes``, those
    that it averages over, in its order (None: by id)."""

    rows: np.ndarray
    classes: np.ndarray | None = None


def in_order(boxes: LabelledBoxes, rows: np.ndarray, order: Order) -> np.ndarray:
    """The rows of one keyframe of the ground truth, i64[K] in file order, in a script's order."""
    if order == "heap":
        return heap_order(boxes, rows)
    if order == "stable":
        return rows[np.argsort(-boxes.score[rows], kind="stable")]
    return rows


def rank_equal_scores(
    protocol: Protocol, listed: LabelledBoxes, rows: np.ndarray, found: LabelledBoxes, hits: Hits
) -> np.ndarray:
    """Ranks i64[N] that order the equal scores of a keyframe and class as the script does.

    ``found`` are the ``rows`` i64[N] of ``listed`` that are scored. Only where a true and a false
    positive of one score meet is the order worked out; elsewhere it cannot matter, and the rank is
    the row.
    """
    rank = np.arange(len(found))
    doubtful = _where_order_matters(found, hits)
    if protocol.order == "heap":
        groups = _groups(listed.keyframe_of_row, found.keyframe_of_row[doubtful])
        orders = (heap_order(listed, frame, protocol.capacity) for frame in groups)
    elif protocol.order == "argsort":
        actions = int(listed.action.max(initial=0)) + 1
        cell = listed.cell_of_row(actions)
        taken = listed.on_boxes(protocol.sound(listed.corners))
        taken &= listed.score > protocol.lowest_score
        groups = _groups(cell, cell[rows[doubtful]])
        groups = (group[taken[group]] for group in groups)
        orders = (group[np.argsort(listed.score[group])[::-1]] for group in groups)
    else:
        return rank
    for ordered in orders:
        place = np.searchsorted(rows, ordered)
        place[place == len(rows)] = 0
        scored = rows[place] == ordered  # the others were left out
        rank[place[scored]] = np.flatnonzero(scored)
    return rank


def official_order(
    protocol: Protocol,
    listed: LabelledBoxes,
    found: LabelledBoxes,
    rank: np.ndarray,
    truth: LabelledBoxes,
    ids: np.ndarray,
) -> OfficialOrder:
    """The order in which the script appends the rows of ``found``; arguments as in ``score``."""
    # Keyframes come as they first appear among the listed detections; mmaction2 walks the truth.
    source = truth if protocol.needs_listed_truth else listed
    frames = source.keyframe_of_row[::-1]
    size = max(int(boxes.keyframe.max(initial=0)) for boxes in (listed, found, truth)) + 1
    first = np.zeros(size, dtype=np.int64)
    first[frames] = np.arange(len(frames))[::-1]
    first = first[found.keyframe_of_row]
    if protocol.order == "file":
        return OfficialOrder(stable_order(first))
    rows = np.lexsort((rank, -found.score, first))
    if protocol.undetected_classes_count:
        return OfficialOrder(rows)
    return OfficialOrder(rows, _order_of_classes(found.action[rows], first[rows], ids))


def _order_of_classes(action: np.ndarray, frame: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The classes in the order in which mmaction2 meets them: it walks a set in each keyframe."""
    met: dict[int, None] = {}
    for mine in np.split(action, run_starts(frame)[1:]):
        met.update(dict.fromkeys(set(ids[mine].tolist())))
        if len(met) == len(ids):
            break
    return np.searchsorted(ids, np.array(list(met), dtype=np.int64))


def _where_order_matters(found: LabelledBoxes, hits: Hits) -> np.ndarray:
    """Rows in a group of equal keyframe, class and score that holds hits and misses."""
    group = found.cell_of_row(int(found.action.max(initial=0)) + 1)
    rows = np.flatnonzero(places(group, group[hits.found]) >= 0)
    correct = np.zeros(len(found), dtype=bool)
    correct[hits.found] = True
    rows = rows[np.lexsort((found.score[rows], group[rows]))]
    starts = run_starts(group[rows], found.score[rows])
    size = np.diff(starts, append=len(rows))
    right = np.add.reduceat(correct[rows], starts, dtype=np.int64) if len(rows) else size
    return rows[np.repeat((right > 0) & (right < size), size)]


def _groups(numbers: np.ndarray, wanted: np.ndarray) -> Iterator[np.ndarray]:
    """The rows, ascending, of each of the ``wanted`` numbers."""
    rows = np.flatnonzero(places(numbers, wanted) >= 0)
    rows = rows[stable_order(numbers[rows])]
    yield from np.split(rows, run_starts(numbers[rows])[1:]) if len(rows) else ()
