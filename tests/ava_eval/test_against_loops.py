"""The vectorised metric against the same rules written as plain loops over rows and keyframes."""

from __future__ import annotations

import heapq
import math
import random
from collections import defaultdict
from pathlib import Path

import pytest

from ava_eval import evaluate, read_annotations, read_detections, read_keyframes, read_label_map

Row = list[object]  # video, seconds, x1, y1, x2, y2, action, score; or only the first two


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
    (_, _, top, left, bottom, right), (_, _, top2, left2, bottom2, right2) = a, b
    height = max(0.0, min(bottom, bottom2) - max(top, top2))
    width = max(0.0, min(right, right2) - max(left, left2))
    area, area2 = (bottom - top) * (right - left), (bottom2 - top2) * (right2 - left2)
    return height * width / (area + area2 - height * width)


def frame_labels(detections: list[tuple], truth: list[tuple]) -> list[tuple[float, bool]]:
    """(score, right) of the detections of one keyframe and action."""
    labels, taken = [], set()
    for detection in detections:
        overlaps = [iou(detection, box) for box in truth]
        best = max(overlaps, default=0.0)
        box = overlaps.index(best) if best >= 0.5 else None
        labels.append((detection[0], box is not None and box not in taken))
        taken.add(box)
    return labels


def area_under_envelope(labels: list[tuple[float, bool]], num_truth: int) -> float:
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


def naive_ap(truth: list[Row], detections: list[Row], ids: list[int]) -> dict[int, float]:
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


def random_case(seed: int) -> tuple[list[Row], list[Row], list[int]]:
    """Sixteenths as corners, so that overlaps tie exactly; few scores, so that those tie too."""
    rng = random.Random(seed)
    ids = rng.sample(range(1, 7), rng.randint(1, 3))
    frames = [(video, second) for video in ("a", "-b") for second in (902, 903.5, 904)]

    def box() -> list[float]:
        x, y = rng.choice([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (5, 5)])
        return [(4 + x) / 16, (4 + y) / 16, (12 + x) / 16, (12 + y) / 16]

    truth: list[Row] = [["a", 902]]
    for frame in frames[:-1]:
        for _ in range(rng.choice([0, 1, 4, 7])):
            person = [rng.randint(0, 3)] if rng.random() < 0.8 else []
            truth.append([*frame, *box(), rng.randint(1, 6), *person])
    detections: list[Row] = []
    for frame in frames:
        for _ in range(rng.choice([0, 5, 90])):
            corners = box()
            if rng.random() < 0.1:
                corners[2] = corners[0]
            value = rng.choice([rng.random(), rng.randint(0, 5) / 4, math.inf])
            detections.append([*frame, *corners, rng.randint(1, 6), value])
    rng.shuffle(truth)
    rng.shuffle(detections)
    return truth, detections, ids


def write(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("seed", range(60))
def test_equals_loops(tmp_path: Path, seed: int) -> None:
    truth, detections, ids = random_case(seed)
    truth_file = write(tmp_path / "gt.csv", truth)
    labels = tmp_path / "labels.pbtxt"
    labels.write_text("".join(f'item {{\n  name: "c{i}"\n  id: {i}\n}}\n' for i in ids))
    result = evaluate(
        read_annotations(truth_file, strict=False),
        read_detections(write(tmp_path / "det.csv", detections)),
        read_label_map(labels),
        keyframes=read_keyframes(truth_file),
    )
    expected = naive_ap(truth, detections, ids)
    found = dict(zip(result.per_class["action_id"], result.per_class["ap"], strict=True))
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
