"""``evaluate`` on cases that one can check by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from ava_eval import InputError, evaluate, read_detections
from ava_eval.files import write_detections

BOX = (0.125, 0.125, 0.5, 0.5)
ELSEWHERE = (0.6, 0.6, 0.9, 0.9)


@pytest.fixture
def truth(annotations):
    return annotations(
        [("v", 902.0, *BOX, 1, 0), ("v", 903.0, *BOX, 1, 0), ("v", 903.0, *BOX, 15, 0)]
    )


CASES = {
    # name: (detections, AP of class 1)
    "all right": ([("v", 902.0, *BOX, 1, 0.9), ("v", 903.0, *BOX, 1, 0.8)], 1.0),
    "none": ([], 0.0),
    "half found": ([("v", 902.0, *BOX, 1, 0.9)], 0.5),
    "false positive first": (
        [("v", 902.0, *ELSEWHERE, 1, 0.9), ("v", 902.0, *BOX, 1, 0.8)],
        0.25,
    ),
    "false positive of the same score": (
        [("v", 902.0, *BOX, 1, 0.8), ("v", 902.0, *ELSEWHERE, 1, 0.8)],
        0.25,
    ),
    "second detection of one box": (
        [("v", 902.0, *BOX, 1, 0.9), ("v", 902.0, *BOX, 1, 0.8), ("v", 903.0, *BOX, 1, 0.7)],
        0.5 + 0.5 * 2 / 3,
    ),
    "overlap of exactly one half": ([("v", 902.0, 0.125, 0.125, 0.5, 0.3125, 1, 0.9)], 0.5),
    "overlap under one half": ([("v", 902.0, 0.125, 0.125, 0.5, 0.3124, 1, 0.9)], 0.0),
    "other action": ([("v", 902.0, *BOX, 15, 0.9)], 0.0),
    "empty box vanishes": (
        [("v", 902.0, 0.1, 0.1, 0.1, 0.5, 1, 0.9), ("v", 902.0, *BOX, 1, 0.8)],
        0.5,
    ),
    "unknown keyframe ignored": (
        [("v", 904.0, *BOX, 1, 0.9), ("w", 902.0, *BOX, 1, 0.9), ("v", 902.0, *BOX, 1, 0.8)],
        0.5,
    ),
    "time in the seventh decimal": ([("v", 902.0000004, *BOX, 1, 0.9)], 0.5),
    "time in the sixth decimal": ([("v", 902.000001, *BOX, 1, 0.9)], 0.0),
}


@pytest.mark.parametrize(("rows", "ap"), CASES.values(), ids=CASES.keys())
def test_by_hand(truth, detections, label_map, rows, ap) -> None:
    result = evaluate(truth, detections(rows), label_map)
    assert result.per_class["ap"][0] == pytest.approx(ap, abs=1e-15)


def test_bounds_are_the_two_orders_of_equal_scores(truth, detections, label_map) -> None:
    rows = [("v", 902.0, *BOX, 1, 0.8), ("v", 902.0, *ELSEWHERE, 1, 0.8)]
    for order in (rows, rows[::-1]):
        result = evaluate(truth, detections(order), label_map)
        assert result.bounds == (0.25 / 2, 0.5 / 2)
        assert result.mean == result.bounds[0]


def test_keyframe_without_people_counts_against(truth, detections, label_map) -> None:
    rows = detections([("v", 904.0, *BOX, 1, 0.9), ("v", 902.0, *BOX, 1, 0.8)])
    empty = pd.DataFrame({"video_id": ["v"], "timestamp": [904.0]})
    result = evaluate(truth, rows, label_map, keyframes=empty)
    assert result.per_class["ap"][0] == 0.25
    assert result.counts["keyframes"] == 3
    assert result.counts["ignored_keyframes"] == 0


def test_excluded_keyframes_leave_both_sides(truth, detections, label_map) -> None:
    rows = detections([("v", 903.0, *ELSEWHERE, 1, 0.9), ("v", 902.0, *BOX, 1, 0.8)])
    excluded = pd.DataFrame({"video_id": ["v", "never seen"], "timestamp": [903.0, 1.0]})
    result = evaluate(truth, rows, label_map, excluded=excluded)
    assert result.per_class["ap"][0] == 1.0
    assert result.per_class["num_groundtruth"].tolist() == [1, 0, 0]
    assert result.counts["keyframes"] == 1
    assert result.counts["excluded_keyframes"] == 1
    assert result.counts["groundtruth_excluded"] == 2
    assert result.counts["detections_excluded"] == 1


def test_cap_comes_after_the_class_filter(truth, detections, label_map) -> None:
    unlisted = [("v", 902.0, *BOX, 2, 1.0)] * 60
    better = [("v", 902.0, *BOX, 15, 0.9)] * 49
    rows = [*unlisted, *better, ("v", 902.0, *BOX, 1, 0.5), ("v", 902.0, *BOX, 1, 0.4)]
    result = evaluate(truth, detections(rows), label_map)
    assert result.counts["detections_unlisted"] == 60
    assert result.counts["dropped_by_capacity"] == 1
    assert result.per_class["num_detections"].tolist() == [1, 49, 0]


def test_counts_close(truth, detections, label_map) -> None:
    rows = [
        ("v", 902.0, *BOX, 2, 1.0),
        ("u", 902.0, *BOX, 1, 1.0),
        *[("v", 903.0, *BOX, 1, np.inf)] * 51,
        ("v", 902.0, 0.5, 0.1, 0.1, 0.5, 1, 1.0),
        ("v", 902.0, -0.1, 0.1, 0.5, 0.5, 1, 1.0),
    ]
    counts = evaluate(truth, detections(rows), label_map).counts
    assert counts == {
        "keyframes": 2,
        "groundtruth": 3,
        "detections": 55,
        "ignored_keyframes": 1,
        "excluded_keyframes": 0,
        "detections_two_columns": 0,
        "groundtruth_outside": 0,
        "groundtruth_undefined": 0,
        "detections_outside": 1,
        "infinite_scores": 50,
        "groundtruth_excluded": 0,
        "groundtruth_unlisted": 0,
        "detections_unlisted": 1,
        "detections_excluded": 0,
        "detections_ignored": 1,
        "dropped_by_capacity": 1,
        "invalid_boxes": 1,
    }


def test_undefined_values_are_null(annotations, detections, label_map) -> None:
    answer = evaluate(annotations([]), detections([]), label_map).to_json()
    assert answer["mAP"] is None
    assert answer["mAP_bounds"] == [None, None]
    assert [row["ap"] for row in answer["classes"]] == [None] * 3
    assert set(answer["groups"].values()) == {None}
    json.dumps(answer, allow_nan=False)


def test_groups_go_by_id(truth, detections, label_map) -> None:
    rows = detections([("v", 902.0, *BOX, 1, 0.9)])
    assert evaluate(truth, rows, label_map).groups == pytest.approx(
        {"person_movement": 0.5, "object_manipulation": 0.0, "person_interaction": np.nan},
        nan_ok=True,
    )


def test_float32_in_memory_equals_the_written_file(
    tmp_path, annotations, detections, label_map
) -> None:
    rng = np.random.default_rng(0)
    corners = rng.random((400, 2)) * 0.5
    boxes = np.concatenate([corners, corners + 0.1 + rng.random((400, 2)) * 0.4], axis=1)
    boxes = boxes.astype(np.float32)
    rows = [
        ("v", 902.0 + i % 7 / 3, *box, [1, 15, 80][i % 3], score)
        for i, (box, score) in enumerate(zip(boxes, rng.random(400, np.float32), strict=True))
    ]
    found = detections(rows).astype(dict.fromkeys(["x1", "y1", "x2", "y2", "score"], np.float32))
    truth = annotations([(*row[:7], -1) for row in rows[::4]])
    write_detections(found, tmp_path / "det.csv")
    result = evaluate(truth, found, label_map)
    assert 0 < result.mean < 1
    assert evaluate(truth, read_detections(tmp_path / "det.csv"), label_map).mean == result.mean


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"detections": {"score": np.nan}}, "detections: row 0: column score: expected a number"),
        ({"truth": {"x1": 0.7}}, "ground truth: row 0: column x1,y1,x2,y2: .* x1 <= x2"),
        ({"label_map": {"action_id": 1}}, "label map: row 1: column action_id: .* each id once"),
        (
            {"label_map": {"action_id": [0, 1, 2]}},
            "label map: row 0: column action_id: .* from 1 on",
        ),
        (
            {"label_map": {"action_id": [1, 2, np.nan]}},
            "label map: row 2: column action_id: .* whole",
        ),
        (
            {"detections": {"action_id": 1.5}},
            "detections: row 0: column action_id: .* whole number",
        ),
        (
            {"truth": {"action_id": [1, 2, np.nan]}},
            "ground truth: row 2: column action_id: .* whole",
        ),
        ({"truth": "gt.csv"}, r"ground truth: expected a pandas.DataFrame, got str"),
        ({"ties": "none"}, "ties: expected one of fp-first, official, got 'none'"),
        ({"protocol": "2017"}, "protocol: expected one of 2020, .*mmaction2, got '2017'"),
    ],
)
def test_bad_input(truth, detections, label_map, change, message) -> None:
    arguments = {
        "truth": truth,
        "detections": detections([("v", 902.0, *BOX, 1, 0.9)]),
        "label_map": label_map,
    }
    for name, value in change.items():
        arguments[name] = arguments[name].assign(**value) if isinstance(value, dict) else value
    with pytest.raises(InputError, match=message):
        evaluate(**arguments)


def test_missing_column(truth, detections, label_map) -> None:
    with pytest.raises(InputError, match=r"detections: expected the columns .* \['score'\]"):
        evaluate(truth, detections([]).drop(columns="score"), label_map)


QUIRKS = {
    # name: (detections, {protocol: AP of class 1})
    "scores that float32 does not tell apart": (
        [("v", 902.0, *BOX, 1, 0.5 + 1e-9), ("v", 902.0, *ELSEWHERE, 1, 0.5)],
        {"2020": 0.5, "2018": 0.5, "pyslowfast": 0.5, "mmaction2": 0.25},
    ),
    "a box without area": (
        [("v", 902.0, 0.7, 0.1, 0.7, 0.5, 1, 0.9), ("v", 902.0, *BOX, 1, 0.8)],
        {"2020": 0.5, "2019": 0.5, "2018": 0.5, "pyslowfast": 0.5, "mmaction2": 0.25},
    ),
    "corners inverted in float64 only": (
        [("v", 902.0, 0.7, 0.1, 0.7 - 1e-9, 0.5, 1, 0.9), ("v", 902.0, *BOX, 1, 0.8)],
        {"2020": 0.5, "mmaction2": 0.25},
    ),
    "an overlap of a half in float32 only": (
        [("v", 902.0, 0.125, 0.125, 0.5, 0.3125 - 1e-9, 1, 0.9)],
        {"2020": 0.0, "mmaction2": 0.5},
    ),
    "a keyframe that the ground truth does not know": (
        [("v", 904.0, *BOX, 1, 0.9), ("v", 902.0, *BOX, 1, 0.8)],
        {"2020": 0.5, "2019": 0.25, "2018": 0.25, "pyslowfast": 0.25, "mmaction2": 0.5},
    ),
    "a worse box first in the file": (
        [("v", 902.0, *BOX, 1, 0.1), ("v", 902.0, *BOX, 1, 0.9)],
        {"2020": 0.5, "2019": 0.5, "2018": 0.5, "pyslowfast": 0.25, "mmaction2": 0.5},
    ),
    "log-probabilities": (
        [("v", 902.0, *BOX, 1, -10.0), ("v", 903.0, *BOX, 1, -9.9)],
        {"2020": 1.0, "2019": 1.0, "2018": 0.5, "pyslowfast": 1.0, "mmaction2": 1.0},
    ),
    "more than 50 rows a keyframe": (
        [("v", 902.0, *ELSEWHERE, 15, 0.9)] * 50 + [("v", 902.0, *BOX, 1, 0.8)],
        {"2020": 0.0, "2019": 0.0, "2018": 0.5, "pyslowfast": 0.5, "mmaction2": 0.5},
    ),
    "more than 10,000 rows a keyframe and class": (
        [("v", 902.0, *ELSEWHERE, 1, 0.9)] * 10_000 + [("v", 902.0, *BOX, 1, 0.8)],
        {"2018": 0.0, "pyslowfast": 0.5 / 10_001, "mmaction2": 0.5 / 10_001},
    ),
}


@pytest.mark.parametrize(
    ("rows", "protocol", "ap"),
    [(rows, name, ap) for rows, expected in QUIRKS.values() for name, ap in expected.items()],
    ids=[f"{case}-{name}" for case, (_, expected) in QUIRKS.items() for name in expected],
)
def test_quirks_of_protocols(truth, detections, label_map, rows, protocol, ap) -> None:
    result = evaluate(truth, detections(rows), label_map, protocol=protocol)
    assert result.per_class["ap"][0] == pytest.approx(ap, abs=1e-15)


def test_classes_without_detections_and_excluded_truth(truth, detections, label_map) -> None:
    """The two rules of mmaction2's mean."""
    found = detections([("v", 902.0, *BOX, 1, 0.9)])
    excluded = pd.DataFrame({"video_id": ["v"], "timestamp": [903.0]})
    means = {
        protocol: evaluate(truth, found, label_map, excluded=excluded, protocol=protocol).mean
        for protocol in ("2019", "mmaction2")
    }
    assert means == {"2019": 1.0, "mmaction2": 0.5}
    assert evaluate(truth, found, label_map, protocol="2019").mean == 0.25
    assert evaluate(truth, found, label_map, protocol="mmaction2").mean == 0.5
