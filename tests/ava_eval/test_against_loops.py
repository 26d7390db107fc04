"""The vectorised metric against the same rules written as plain loops over rows and keyframes."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from ava_eval import evaluate, read_annotations, read_detections, read_keyframes, read_label_map
from tests.ava_eval import official
from tests.ava_eval.official import Row


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
    expected = official.average_precisions(truth, detections, ids)
    found = dict(zip(result.per_class["action_id"], result.per_class["ap"], strict=True))
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)
