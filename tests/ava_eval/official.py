"""The official script's rules as plain loops, for the tests: slow, short and without our code."""

from __future__ import annotations

import csv
import heapq
import io
import math
from collections import defaultdict
from decimal import Decimal

import numpy as np

Row = list  # video, time as its key's text, x1, y1, x2, y2, action, score; or only the first two


def read(data: bytes) -> list[Row]:
    """``read_csv`` up to the class filter; ValueError or ArithmeticError where it would stop.

    The script reads with the dialect of Python's csv and translates line ends. A byte-order mark,
    which it would take for a part of the first video's id, is cut.
    """
    rows: list[Row] = []
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline=None)
    try:
        for cells in csv.reader(text):
            if len(cells) not in (2, 7, 8):
                raise ValueError(f"{len(cells)} columns")
            key = [cells[0], f"{float(Decimal(cells[1])):.6f}"]
            if len(cells) == 2:
                rows.append(key)
                continue
            corners = [float(cell) for cell in cells[2:6]]
            score = float(cells[7]) if len(cells) == 8 else 1.0
            rows.append([*key, *corners, int(cells[6]), score])
    except csv.Error as error:
        raise ValueError(str(error)) from error
    return rows


def kept_boxes(rows: list[Row], ids: list[int], capacity: int) -> dict[tuple, list[tuple]]:
    """The items (score, action, y1, x1, y2, x2) of each keyframe in the official order."""
    heaps: dict[tuple, list[tuple]] = defaultdict(list)
    for row in rows:
        if len(row) == 2 or row[6] not in ids:
            continue
        x1, y1, x2, y2, action = row[2:7]
        item = (row[7] if len(row) == 8 else 1.0, action, y1, x1, y2, x2)
        heap = heaps[row[0], row[1]]
        if capacity == 0 or len(heap) < capacity:
            heapq.heappush(heap, item)
        elif item[0] > heap[0][0]:
            heapq.heapreplace(heap, item)
    return {key: sorted(heap, key=lambda item: -item[0]) for key, heap in heaps.items()}


def iou(a: tuple, b: tuple) -> float:
    """As numpy has it, infinities and NaN too."""
    top, left, bottom, right = map(np.float64, a[2:])
    top2, left2, bottom2, right2 = map(np.float64, b[2:])
    with np.errstate(all="ignore"):
        height = np.maximum(0.0, np.minimum(bottom, bottom2) - np.maximum(top, top2))
        width = np.maximum(0.0, np.minimum(right, right2) - np.maximum(left, left2))
        area, area2 = (bottom - top) * (right - left), (bottom2 - top2) * (right2 - left2)
        return float(height * width / (area + area2 - height * width))


def frame_labels(detections: list[tuple], truth: list[tuple]) -> list[tuple[float, bool]]:
    """(score, right) of the detections of one keyframe and action."""
    labels, taken = [], set()
    for detection in detections:
        overlaps = [iou(detection, box) for box in truth]
        undefined = any(math.isnan(value) for value in overlaps)  # numpy's argmax goes there
        best = 0.0 if undefined else max(overlaps, default=0.0)
        box = overlaps.index(best) if best >= 0.5 else None
        labels.append((detection[0], box is not None and box not in taken))
        taken.add(box)
    return labels


def area_under_envelope(labels: list[tuple[float, bool]], num_truth: int) -> float:
    """The AP with false positives first among equal scores."""
    if num_truth == 0:
        return math.nan
    points, hits = [], 0
    for rank, (_, right) in enumerate(sorted(labels, key=lambda item: (-item[0], item[1])), 1):
        hits += right
        points.append((hits / num_truth, hits / rank))
    area, recall = 0.0, 0.0
    for place, (reached, _) in enumerate(points):
        area += (reached - recall) * max(precision for _, precision in points[place:])
        recall = reached
    return area


def average_precisions(truth: list[Row], detections: list[Row], ids: list[int]) -> dict[int, float]:
    """The AP of each class."""
    known = {(row[0], row[1]) for row in truth}
    true_boxes = kept_boxes(truth, ids, 0)
    found = kept_boxes(detections, ids, 50)
    answer = {}
    for action in ids:
        labels = []
        for key, items in found.items():
            mine = [i for i in items if i[1] == action and i[2] < i[4] and i[3] < i[5]]
            wanted = [i for i in true_boxes.get(key, []) if i[1] == action]
            if key in known:
                labels += frame_labels(mine, wanted)
        num_truth = sum(i[1] == action for items in true_boxes.values() for i in items)
        answer[action] = area_under_envelope(labels, num_truth)
    return answer
