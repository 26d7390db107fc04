"""What the protocols count, cap and order. Named by year: the official script of ActivityNet.

``2020`` is today's (82304fa9, ``get_ava_performance.py``): keyframes are keyed to six decimals,
detections on keyframes unknown to the ground truth are ignored, and of each keyframe the 50 best
detections count.
"""

from __future__ import annotations

import heapq

import numpy as np

PROTOCOLS = ("2020",)
CAPACITY = 50


def heap_order(
    score: np.ndarray, action: np.ndarray, box: np.ndarray, rows: np.ndarray, capacity: int = 0
) -> np.ndarray:
    """The rows of one keyframe as the official ``read_csv`` keeps and orders them.

    ``rows`` i64[K] are its row numbers in file order; returns those kept, by descending score.
    Equal scores come in the order of CPython's heap array, for which the heap itself is run.
    """
    x1, y1, x2, y2 = box[rows].T.tolist()
    columns = (score[rows].tolist(), action[rows].tolist(), y1, x1, y2, x2)
    items = list(zip(*columns, strict=True))
    row_of = {id(item): row for item, row in zip(items, rows.tolist(), strict=True)}
    heap: list[tuple] = []
    for item in items:
        if capacity < 1 or len(heap) < capacity:
            heapq.heappush(heap, item)
        elif item[0] > heap[0][0]:
            heapq.heapreplace(heap, item)
    heap.sort(key=lambda item: -item[0])
    return np.array([row_of[id(item)] for item in heap], dtype=np.int64)


def within_capacity(
    keyframe: np.ndarray,
    score: np.ndarray,
    action: np.ndarray,
    box: np.ndarray,
    capacity: int = CAPACITY,
) -> np.ndarray:
    """Mark the rows that survive the cap of ``capacity`` rows a keyframe -> bool[N].

    Arguments are those of ``matching.Boxes``, in file order. With T the capacity-th largest score
    of a keyframe, the rows above T survive, and of the rows at T that are among the first
    ``capacity`` in the file with a score of at least T, the largest (action, y1, x1, y2, x2): what
    the official heap leaves, without running it.
    """
    keep = np.ones(len(keyframe), dtype=bool)
    count = np.bincount(keyframe)
    rows = np.flatnonzero(count[keyframe] > capacity)
    if not len(rows):
        return keep
    keep[rows] = False
    undefined = np.unique(keyframe[rows[np.isnan(box[rows]).any(axis=1)]])
    for frame in undefined:  # rare: tuples with NaN have no order, so that only the heap knows
        kept = heap_order(score, action, box, np.flatnonzero(keyframe == frame), capacity)
        keep[kept] = True
    rows = rows[~np.isin(keyframe[rows], undefined)]
    if not len(rows):
        return keep

    rows = rows[np.lexsort((-score[rows], keyframe[rows]))]
    start = np.flatnonzero(np.diff(keyframe[rows], prepend=-1))
    size = np.diff(start, append=len(rows))
    threshold = np.repeat(score[rows[start + capacity - 1]], size)
    above = score[rows] > threshold
    keep[rows[above]] = True
    room = capacity - np.add.reduceat(above, start, dtype=np.int64)
    frame = np.repeat(np.arange(len(start)), size)

    reaching = np.flatnonzero(score[rows] >= threshold)
    reaching = reaching[np.argsort(rows[reaching])]  # in file order
    reaching = reaching[np.argsort(frame[reaching], kind="stable")]
    candidate = reaching[_position(frame[reaching]) < capacity]
    candidate = candidate[~above[candidate]]
    x1, y1, x2, y2 = box[rows[candidate]].T
    largest_first = np.lexsort((x2, y2, x1, y1, action[rows[candidate]], frame[candidate]))[::-1]
    candidate = candidate[largest_first]
    keep[rows[candidate[_position(frame[candidate]) < room[frame[candidate]]]]] = True
    return keep


def _position(group: np.ndarray) -> np.ndarray:
    """The position of each element in its run of equal values of ``group``."""
    start = np.flatnonzero(np.diff(group, prepend=-1))
    return np.arange(len(group)) - np.repeat(start, np.diff(start, append=len(group)))
