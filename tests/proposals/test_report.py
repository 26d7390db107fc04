from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from ava_detect.boxes import iou_matrix
from ava_detect.proposals.report import PAPER, THRESHOLDS, proposal_report
from ava_detect.proposals.report_text import report_text
from ava_detect.visualize.proposal_curves import save_curves
from ava_eval import evaluate
from ava_eval.tables import BOX

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
        ([(1, A), (1, B)], [(1, A, 0.9)], 51 / 101),
        ([(1, A)], [(1, HALF_A, 0.9)], 1.0),
        ([(1, A)], [(1, LESS_A, 0.9)], 0.0),
        ([(1, A)], [(2, A, 0.9)], 0.0),
        ([(1, A), (2, B)], [(1, A, 0.9), (2, C, 0.8), (2, B, 0.7)], (51 + 50 * 2 / 3) / 101),
        ([(1, A)], [(1, A, 0.9), (1, A, 0.8)], 1.0),
        ([(1, A), (1, B)], [(1, A, 0.9), (1, A, 0.8), (1, B, 0.7)], (51 + 50 * 2 / 3) / 101),
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
        "score": 0.05, "recall": 0.75, "precision": 0.6, "F1": pytest.approx(2 / 3),
        "boxes_per_keyframe": 2.5, "mAP_ceiling": None,
    }  # fmt: skip
    assert (rows[0.5]["recall"], rows[0.5]["precision"]) == (0.5, pytest.approx(2 / 3))
    assert (rows[0.95]["recall"], rows[0.95]["precision"]) == (0.25, 1.0)


def test_precision_without_boxes_is_not_defined():
    report = proposal_report(found((1, A, 0.3)), truth((1, A)))
    assert report["thresholds"][-1] == {
        "score": 0.95, "recall": 0.0, "precision": None, "F1": 0.0, "boxes_per_keyframe": 0.0,
        "mAP_ceiling": None,
    }  # fmt: skip


def test_more_than_a_hundred_boxes_count_for_all_but_ap():
    boxes = found(*[(1, C, 0.9)] * 100, (1, A, 0.8))
    report = proposal_report(boxes, truth((1, A)))
    assert report["AP50"] == 0
    assert report["thresholds"][0]["recall"] == 1
    assert report["thresholds"][0]["boxes_per_keyframe"] == 101


def test_each_person_is_of_one_size():
    report = proposal_report(found(), truth((1, (0.0, 0.0, 1.0, 0.16))))
    assert [row["people"] for row in report["by_size"]] == [0, 0, 0, 1]
    assert [row["AP50"] for row in report["by_size"]] == [None, None, None, 0.0]


def test_only_the_given_keyframes_count():
    people = truth((1, A), (2, A))
    boxes = found((1, A, 0.5), (2, B, 0.9), (3, B, 0.9))
    only_first = pd.DataFrame({"video_id": ["v"], "timestamp": [1.0]})
    assert proposal_report(boxes, people, only_first)["AP50"] == 1.0
    empty_too = pd.DataFrame({"video_id": ["v"] * 2, "timestamp": [1.0, 3.0]})
    report = proposal_report(boxes, people, empty_too)
    assert report["AP50"] == pytest.approx(0.5)
    assert (report["keyframes"], report["people"], report["boxes"]) == (2, 1, 2)


SMALL, LARGE, HALF_LARGE = (0.8, 0.8, 0.85, 0.9), (0.5, 0.5, 1.0, 1.0), (0.5, 0.5, 0.75, 1.0)
LABEL_MAP = pd.DataFrame({"action_id": [1, 2, 3], "name": ["sit", "walk", "nobody does"]})


@pytest.fixture(scope="module")
def report() -> dict:
    """Four people on three of four keyframes; from the best score down the eight boxes are right,
    right, wrong, right, wrong, wrong, wrong, right (at an IoU of just 0.5)."""
    people = truth((1, A), (1, A), (1, B), (2, SMALL), (4, LARGE), (4, LARGE))
    people["action_id"] = [1, 2, 1, 2, 1, 2]
    boxes = found(
        (1, A, 0.5), (1, A, 0.9), (1, B, 0.6), (2, SMALL, 0.8), (2, C, 0.25), (3, C, 0.7),
        (4, HALF_LARGE, 0.2), (4, (0.0, 0.0, 0.2, 0.4), 0.25), (5, A, 1.0),
    )  # fmt: skip
    keyframes = pd.DataFrame({"video_id": "v", "timestamp": [1.0, 2.0, 3.0, 4.0]})
    return proposal_report(boxes, people, keyframes, LABEL_MAP)


def test_every_number_of_a_small_world(report: dict):
    assert json.loads(json.dumps(report)) == report
    above_half = (51 + 25 * 0.75) / 101
    ap50 = above_half + 25 * 0.5 / 101
    assert report["AP50"] == pytest.approx(ap50)
    assert report["AP"] == pytest.approx((ap50 + 9 * above_half) / 10)
    assert (report["keyframes"], report["people"], report["boxes"]) == (4, 4, 8)
    assert report["curves"] == {
        "0.5": [1.0] * 51 + [0.75] * 25 + [0.5] * 25,
        "0.75": [1.0] * 51 + [0.75] * 25 + [0.0] * 25,
    }
    assert report["paper"] == PAPER

    names = ("recall", "precision", "F1", "boxes_per_keyframe", "mAP_ceiling")
    expected = {  # up to a score
        0.2: (1, 4 / 8, 8 / 12, 2, 1),
        0.25: (0.75, 3 / 7, 6 / 11, 1.75, 2 / 3),
        0.5: (0.75, 3 / 5, 6 / 9, 1.25, 2 / 3),
        0.6: (0.75, 3 / 4, 6 / 8, 1, 2 / 3),
        0.7: (0.5, 2 / 3, 4 / 7, 0.75, (1 / 3 + 2 / 3) / 2),
        0.8: (0.5, 1, 4 / 6, 0.5, (1 / 3 + 2 / 3) / 2),
        0.9: (0.25, 1, 2 / 5, 0.25, 1 / 3),
        0.95: (0, None, 0, 0, 0),
    }
    for row, score in zip(report["thresholds"], THRESHOLDS, strict=True):
        values = expected[min(end for end in expected if end >= score)]
        assert row == pytest.approx({"score": score, **dict(zip(names, values, strict=True))})
    best = dict(zip(names, expected[0.6], strict=True))
    assert report["best"] == pytest.approx({"score": 0.6, **best})

    names = ("name", "people", "AP50", "recall")
    assert report["by_size"] == [
        dict(zip(names, row, strict=True))
        for row in [
            ("<1%", 1, 1.0, 1.0),
            ("1-4%", 0, None, None),
            ("4-16%", 2, pytest.approx((51 + 50 * 2 / 3) / 101), 1.0),
            (">16%", 1, 1.0, 0.0),
        ]
    ]
    names = (
        "name", "keyframes", "people", "AP50", "recall", "precision", "false_boxes_per_keyframe",
    )  # fmt: skip
    assert report["by_people"] == [
        dict(zip(names, row, strict=True))
        for row in [
            ("0", 1, 0, None, None, None, 1.0),
            ("1", 2, 2, pytest.approx((51 + 50 * 0.5) / 101), 0.5, 1.0, 0.0),
            ("2", 1, 2, 1.0, 1.0, 1.0, 0.0),
            ("3-4", 0, 0, None, None, None, None),
            ("5+", 0, 0, None, None, None, None),
        ]
    ]


def random_world(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Boxes and annotations of ten keyframes. The crowd of the first has more than 50 rows, some of
    them twice; every second person stands so close to another that a box overlaps both."""
    rng = np.random.default_rng(seed)
    boxes, rows = [], []
    for second in range(10):
        corner = rng.uniform(0, 0.7, (10 if second == 0 else rng.integers(0, 3), 2))
        people = np.column_stack([corner, corner + rng.uniform(0.1, 0.3, corner.shape)])
        people = np.concatenate([people, people + rng.uniform(0, 0.03, people.shape)])
        for number, person in enumerate(people):
            for action in rng.permutation([1, 2, 4, 7, 9])[: 5 if second == 0 else 2]:
                rows.append(("v", second, *person, action, number))
        if second == 0:
            rows += [(*row[:-1], 99) for row in rows[:40]]
        near = people.repeat(2, axis=0) + rng.normal(0, 0.02, (2 * len(people), 4))
        boxes += [("v", second, *box, rng.random()) for box in near]
    columns = ["video_id", "timestamp", *BOX]
    return (
        pd.DataFrame(boxes, columns=[*columns, "score"]).sample(frac=1, random_state=seed),
        pd.DataFrame(rows, columns=[*columns, "action_id", "person_id"]),
    )


def perfect_labels(boxes: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """Detections of a classifier that knows the actions of whoever a box shows, box by box."""
    shown: dict[tuple, pd.Series] = {}
    for _, box in boxes.sort_values("score").iterrows():  # the best comes last and stays
        rows = annotations[annotations["timestamp"] == box["timestamp"]]
        if len(rows):
            ious = iou_matrix(box[BOX].to_numpy(float)[None], rows[BOX].to_numpy())[0]
            if ious.max() >= 0.5:
                shown[(box["timestamp"], rows["person_id"].iloc[ious.argmax()])] = box
    detections = [
        {**shown[key], "action_id": row["action_id"]}
        for _, row in annotations.iterrows()
        if (key := (row["timestamp"], row["person_id"])) in shown
    ]
    return pd.DataFrame(detections, columns=[*boxes.columns, "action_id"])


@pytest.mark.parametrize("seed", range(2))
def test_the_ceiling_is_the_map_of_perfect_labels(seed: int):
    boxes, annotations = random_world(seed)
    ids = [1, 2, 3, 4, 7]  # nobody does 3; 9 is not listed
    label_map = pd.DataFrame({"action_id": ids, "name": [str(number) for number in ids]})
    report = proposal_report(boxes, annotations, None, label_map)
    capped = False
    for row in [*report["thresholds"][::5], report["best"]]:
        some = perfect_labels(boxes[boxes["score"] >= row["score"]], annotations)
        result = evaluate(annotations, some, label_map)
        assert row["mAP_ceiling"] == pytest.approx(result.mean, abs=1e-12)
        capped |= result.counts["dropped_by_capacity"] > 0
        if not result.counts["dropped_by_capacity"]:  # then it does not matter how sure it is
            result = evaluate(annotations, some.assign(score=1.0), label_map)
            assert row["mAP_ceiling"] == pytest.approx(result.mean, abs=1e-12)
    assert capped


def test_no_score_has_a_higher_f1_than_the_best():
    boxes, annotations = random_world(5)
    boxes["score"] = boxes["score"].round(2)  # some are equal
    scores = boxes["score"].unique()
    reports = {
        score: proposal_report(boxes[boxes["score"] >= score], annotations)["thresholds"][0]["F1"]
        for score in scores[scores >= 0.05]
    }
    best = proposal_report(boxes, annotations)["best"]
    assert best["F1"] == max(reports.values())
    assert best["score"] == max(s for s, value in reports.items() if value == best["F1"])


NOTHING_DEFINED = [
    pytest.param(found(), truth(), id="empty tables"),
    pytest.param(found(), truth((1, A)), id="no boxes"),
    pytest.param(found((1, C, 0.5)), truth((1, A)), id="nobody found"),
    pytest.param(found((1, A, 0.5)), truth(), id="nobody there"),
]


@pytest.mark.parametrize(("boxes", "people"), NOTHING_DEFINED)
def test_nothing_to_find_or_found(boxes: pd.DataFrame, people: pd.DataFrame, tmp_path: Path):
    keyframes = pd.DataFrame({"video_id": ["v"], "timestamp": [1.0]})
    label_map = pd.DataFrame({"action_id": [12], "name": ["stand"]})
    report = proposal_report(boxes, people, keyframes, label_map)
    assert json.loads(json.dumps(report)) == report
    assert report["best"] is None
    assert report["AP"] == report["AP50"] == (0 if len(people) else None)
    assert report["thresholds"][0]["mAP_ceiling"] == (0 if len(people) else None)
    assert "no box finds anybody" in report_text(report)
    save_curves(report, tmp_path / "curves.png")


def test_text(report: dict):
    assert (
        report_text(report).splitlines()
        == """\
8 boxes for 4 people on 4 keyframes
AP@50 81.4% (SlowFast paper: 93.9%), AP@[.50:.95] 70.3%

      score  recall  precision     F1  boxes/keyframe  mAP ceiling
       0.10  100.0%      50.0%  66.7%            2.00       100.0%
       0.20  100.0%      50.0%  66.7%            2.00       100.0%
       0.30   75.0%      60.0%  66.7%            1.25        66.7%
       0.40   75.0%      60.0%  66.7%            1.25        66.7%
       0.50   75.0%      60.0%  66.7%            1.25        66.7%
       0.60   75.0%      75.0%  75.0%            1.00        66.7%
       0.70   50.0%      66.7%  57.1%            0.75        50.0%
       0.80   50.0%     100.0%  66.7%            0.50        50.0%
       0.90   25.0%     100.0%  40.0%            0.25        33.3%
paper, 0.80   91.1%      90.7%      -               -            -

best F1 75.0% at a score of 0.6000: recall 75.0%, precision 75.0%

by the person's share of the frame, recall at that score:
share  people   AP@50  recall
  <1%       1  100.0%  100.0%
 1-4%       0       -       -
4-16%       2   83.5%  100.0%
 >16%       1  100.0%    0.0%

by the number of people on the keyframe, all but AP@50 at that score:
people  keyframes   AP@50  recall  precision  false boxes/keyframe
     0          1       -       -          -                  1.00
     1          2   75.2%   50.0%     100.0%                  0.00
     2          1  100.0%  100.0%     100.0%                  0.00
   3-4          0       -       -          -                     -
    5+          0       -       -          -                     -
""".splitlines()
    )


@pytest.mark.parametrize("name", ["curves.png", "new folder/curves.svg"])
def test_curves(report: dict, tmp_path: Path, name: str):
    save_curves(report, tmp_path / name)
    assert [path.name for path in (tmp_path / name).parent.iterdir()] == [Path(name).name]
    if name.endswith("png"):
        assert min(cv2.imread(str(tmp_path / name)).shape[:2]) > 500
    else:
        assert "<svg" in (tmp_path / name).read_text(encoding="utf-8")
