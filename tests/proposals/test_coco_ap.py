"""COCO's AP: cases by hand, and the numbers of pycocotools."""

from __future__ import annotations

import contextlib
import io
from typing import NamedTuple

import numpy as np
import pytest

from ava_detect.proposals.coco_ap import (
    ALL_SIZES,
    IOU_THRESHOLDS,
    Overlaps,
    mean_precision,
    precision_at_recalls,
)

A, B = (0.0, 0.0, 0.25, 0.5), (0.5, 0.0, 0.75, 0.5)
LEFT_OF_A = (0.0, 0.0, 0.125, 0.5)  # IoU with A: exactly 0.5


class Case(NamedTuple):
    """Boxes with scores and people, each with its keyframe."""

    keyframe: np.ndarray
    corners: np.ndarray
    score: np.ndarray
    people_keyframe: np.ndarray
    people_corners: np.ndarray


def case(boxes: list[tuple], people: list[tuple]) -> Case:
    """From rows (keyframe, corners, score) and (keyframe, corners)."""
    return Case(
        np.array([row[0] for row in boxes], int),
        np.array([row[1] for row in boxes], float).reshape(-1, 4),
        np.array([row[2] for row in boxes], float),
        np.array([row[0] for row in people], int),
        np.array([row[1] for row in people], float).reshape(-1, 4),
    )


@pytest.mark.parametrize(
    ("boxes", "people", "expected"),
    [
        ([(0, A, 0.9), (0, B, 0.8)], [(0, A), (0, B)], 1.0),
        ([(0, A, 0.9)], [(0, A), (0, B)], 51 / 101),
        ([(0, LEFT_OF_A, 0.9)], [(0, A)], 1.0),
        ([(1, A, 0.9)], [(0, A)], 0.0),
        ([(0, A, 0.9), (0, A, 0.8), (0, B, 0.7)], [(0, A), (0, B)], (51 + 50 * 2 / 3) / 101),
        ([(0, A, 0.9), (1, A, 0.9)], [(1, A)], 0.5),
        ([(1, A, 0.9), (0, A, 0.9)], [(0, A)], 1.0),
        ([(0, A, 0.9), (0, A, 0.8)], [(0, A), (0, LEFT_OF_A)], 1.0),
        ([(0, B, 0.9)] * 100 + [(0, A, 0.8)], [(0, A)], 0.0),
        ([], [(0, A)], 0.0),
        ([(0, A, 0.9)], [], None),
    ],
    ids=[
        "all found", "one missed", "IoU of a half", "other keyframe", "repetition between",
        "equal scores in order of keyframe", "whatever the order of rows",
        "the second takes who is left", "the 101st does not count", "no boxes", "nobody there",
    ],
)  # fmt: skip
def test_by_hand(boxes, people, expected):
    ap = Overlaps.of(*case(boxes, people)).average_precision(0.5)
    assert ap == (None if expected is None else pytest.approx(expected))


def test_of_equal_overlaps_the_last_is_taken():
    people = case([(0, A, 0.9)], [(0, A), (0, A), (0, B)])
    assert Overlaps.of(*people).match(0.5).person.tolist() == [1]


def test_an_overlap_of_one_need_not_be_exact():
    nearly = case([(0, A, 0.9)], [(0, (0.0, 0.0, 0.25, 0.5 + 1e-12))])
    assert Overlaps.of(*nearly).match(1.0).person.tolist() == [0]


def test_people_and_boxes_of_other_sizes_are_ignored():
    """A box prefers a person who counts; what finds another or has another size is no mistake."""
    small, whole = (0.5, 0.5, 0.625, 0.625), (0.0, 0.0, 1.0, 1.0)
    boxes = [(0, A, 0.9), (0, whole, 0.8), (0, small, 0.7), (0, B, 0.6)]
    overlaps = Overlaps.of(*case(boxes, [(0, LEFT_OF_A), (0, A), (0, small)]))
    matches = overlaps.match(0.5, (0.0, 0.0625))
    assert matches.person.tolist() == [0, -1, 2, -1]
    assert matches.counts.tolist() == [True, False, True, False]
    assert matches.num_people == 2
    matches = overlaps.match(0.5, (0.1, 0.5))
    assert matches.person.tolist() == [1, -1, 2, -1]
    assert matches.counts.tolist() == [True, False, False, True]
    assert matches.num_people == 1


def test_precision_is_the_best_at_any_higher_recall():
    precision = precision_at_recalls(np.array([False, True, True]), 4)
    assert precision is not None
    assert precision[:51] == pytest.approx(2 / 3)
    assert (precision[51:] == 0).all()
    assert precision_at_recalls(np.array([False]), 0) is None


def random_case(seed: int) -> Case:
    """Half of the cases lie on a grid, so that overlaps, scores and areas are often equal."""
    rng = np.random.default_rng(seed)
    on_grid = bool(seed % 2)
    keyframes = int(rng.integers(1, 12))
    crowd = rng.integers(0, 6, keyframes) * (rng.random(keyframes) < 0.8)
    people_keyframe = np.repeat(np.arange(keyframes), crowd)
    people = random_boxes(rng, len(people_keyframe), on_grid)
    number = rng.integers(0, 12, keyframes) * (rng.random(keyframes) < 0.9)
    if seed % 5 == 0:
        number[0] = 130
    keyframe = rng.permutation(np.repeat(np.arange(keyframes), number))
    boxes = random_boxes(rng, len(keyframe), on_grid)
    for row, frame in enumerate(keyframe):  # most lie near a person, some exactly on one
        near = np.flatnonzero(people_keyframe == frame)
        if len(near) and rng.random() < 0.8:
            boxes[row] = people[rng.choice(near)]
            if rng.random() < 0.7 and not on_grid:
                boxes[row] += rng.normal(0, 0.02, 4)
            elif rng.random() < 0.7:
                boxes[row, 2:] += rng.integers(0, 3, 2) / 16
    score = rng.random(len(keyframe))
    return Case(keyframe, boxes, np.round(score, 1) if on_grid else score, people_keyframe, people)


def random_boxes(rng: np.random.Generator, size: int, on_grid: bool) -> np.ndarray:
    if on_grid:
        corner, sides = rng.integers(0, 8, (size, 2)) / 16, rng.integers(2, 7, (size, 2)) / 16
    else:
        corner, sides = rng.uniform(0, 0.5, (size, 2)), rng.uniform(0.1, 0.5, (size, 2))
    return np.concatenate([corner, corner + sides], axis=1)


def pycocotools_precision(boxes: Case, sizes: list[tuple[float, float]]) -> np.ndarray:
    """f64[10, 101, sizes], -1 without people."""
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(keyframe: np.ndarray, corners: np.ndarray) -> list[dict]:
        sides = corners[:, 2:] - corners[:, :2]
        return [
            {
                "id": number,
                "image_id": int(frame),
                "category_id": 1,
                "bbox": [*box[:2].tolist(), *side.tolist()],
                "area": float(side[0] * side[1]),
                "iscrowd": 0,
            }
            for number, (frame, box, side) in enumerate(
                zip(keyframe, corners, sides, strict=True), start=1
            )
        ]

    found = rows(boxes.keyframe, boxes.corners)
    for row, score in zip(found, boxes.score.tolist(), strict=True):
        row["score"] = score
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for annotations in (rows(boxes.people_keyframe, boxes.people_corners), found):
            coco = COCO()
            coco.dataset = {
                "images": [{"id": number} for number in range(20)],
                "categories": [{"id": 1}],
                "annotations": annotations,
            }
            coco.createIndex()
            sides.append(coco)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.params.areaRng = [list(bounds) for bounds in sizes]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, :, 0]


@pytest.mark.parametrize("seed", range(60))
def test_as_pycocotools(seed: int):
    boxes = random_case(seed)
    sizes = [ALL_SIZES, (0.0, 0.0625), (0.0625, 0.125), (0.125, np.inf)]
    expected = pycocotools_precision(boxes, sizes)
    overlaps = Overlaps.of(*boxes)
    for number, bounds in enumerate(sizes):
        for place, iou in enumerate(IOU_THRESHOLDS):
            precision = overlaps.precision(overlaps.match(iou, bounds))
            if precision is None:
                assert (expected[place, :, number] == -1).all()
            else:
                np.testing.assert_allclose(precision, expected[place, :, number], atol=1e-9)
                ap = overlaps.average_precision(iou, bounds)
                assert ap == mean_precision(precision)
