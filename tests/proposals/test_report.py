from __future__ import annotations

import pandas as pd
import pytest

from ava_detect.proposals.report import THRESHOLDS, proposal_report

A, B, C = (0.0, 0.0, 0.2, 0.4), (0.5, 0.0, 0.7, 0.4), (0.5, 0.5, 0.7, 0.9)
HALF_A = (0.0, 0.0, 0.1, 0.4)  # IoU with A: exactly 0.5
LESS_A = (0.0, 0.0, 0.099, 0.4)


def truth(*rows: tuple) -> pd.DataFrame:
    columns = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "person_id"]
    return pd.DataFrame([("v", t, *box, 12, i) for i, (t, box) in enumerate(rows)], columns=columns)


def found(*rows: tuple) -> pd.DataFrame:
    columns = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "score"]
    return pd.DataFrame([("v", t, *box, score) for t, box, score in rows], columns=columns)


@pytest.mark.parametrize(
    ("people", "boxes", "expected"),
    [
        ([(1, A), (1, B)], [(1, A, 0.9), (1, B, 0.8)], 1.0),
        ([(1, A), (1, B)], [(1, A, 0.9)], 0.5),
        ([(1, A)], [(1, HALF_A, 0.9)], 1.0),
        ([(1, A)], [(1, LESS_A, 0.9)], 0.0),
        ([(1, A)], [(2, A, 0.9)], 0.0),
        ([(1, A), (2, B)], [(1, A, 0.9), (2, C, 0.8), (2, B, 0.7)], 0.5 + 0.5 * 2 / 3),
        ([(1, A)], [(1, A, 0.9), (1, A, 0.8)], 1.0),
        ([(1, A), (1, B)], [(1, A, 0.9), (1, A, 0.8), (1, B, 0.7)], 0.5 + 0.5 * 2 / 3),
        ([(1, A)], [(1, C, 0.9), (1, A, 0.9)], 0.5),
        ([(1, A), (1, A)], [(1, A, 0.9)], 1.0),
        ([(1, A)], [], 0.0),
        ([], [(1, A, 0.9)], None),
    ],
    ids=[
        "all found", "one missed", "IoU of a half", "IoU below", "other keyframe",
        "wrong one between", "repetition after", "repetition between", "equal scores",
        "a box with two actions is one person", "nothing found", "nobody there",
    ],
)  # fmt: skip
def test_average_precision(people, boxes, expected):
    report = proposal_report(found(*boxes), truth(*people))
    assert report["AP50"] == (None if expected is None else pytest.approx(expected))


def test_recall_and_precision_fall_and_rise_with_the_threshold():
    people = truth((1, A), (1, B), (2, A), (2, B))
    boxes = found((1, A, 0.95), (1, C, 0.6), (2, A, 0.5), (2, C, 0.1), (2, B, 0.05))
    report = proposal_report(boxes, people)
    assert (report["keyframes"], report["people"], report["boxes"]) == (2, 4, 5)
    assert [row["score"] for row in report["thresholds"]] == list(THRESHOLDS)
    rows = {row["score"]: row for row in report["thresholds"]}
    assert rows[0.05] == {
        "score": 0.05, "recall": 0.75, "precision": 0.6, "boxes_per_keyframe": 2.5,
    }  # fmt: skip
    assert (rows[0.5]["recall"], rows[0.5]["precision"]) == (0.5, pytest.approx(2 / 3))
    assert (rows[0.95]["recall"], rows[0.95]["precision"]) == (0.25, 1.0)


def test_precision_without_boxes_is_not_defined():
    report = proposal_report(found((1, A, 0.3)), truth((1, A)))
    assert report["thresholds"][-1] == {
        "score": 0.95, "recall": 0.0, "precision": None, "boxes_per_keyframe": 0.0,
    }  # fmt: skip


def test_only_the_given_keyframes_count():
    people = truth((1, A), (2, A))
    boxes = found((1, A, 0.5), (2, B, 0.9), (3, B, 0.9))
    only_first = pd.DataFrame({"video_id": ["v"], "timestamp": [1.0]})
    assert proposal_report(boxes, people, only_first)["AP50"] == 1.0
    empty_too = pd.DataFrame({"video_id": ["v"] * 2, "timestamp": [1.0, 3.0]})
    report = proposal_report(boxes, people, empty_too)
    assert report["AP50"] == pytest.approx(0.5)
    assert (report["keyframes"], report["people"], report["boxes"]) == (2, 1, 2)
