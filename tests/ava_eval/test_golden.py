"""Numbers recorded from the official script, on small cases of our own and on the shared ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ava_eval import (
    FrameMap,
    InputError,
    evaluate,
    read_annotations,
    read_detections,
    read_keyframes,
    read_label_map,
)

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "frame_map"
SHARED = [
    "capacity_over_50",
    "class_gt_no_det",
    "gt_two_columns",
    "invalid_boxes",
    "random_typical",
    "ties_across_frames",
    "timestamp_formats",
    "unknown_frames",
    "v22_person_ids",
]


def score(folder: Path) -> FrameMap:
    return evaluate(
        read_annotations(folder / "gt.csv", strict=False),
        read_detections(folder / "det.csv"),
        read_label_map(folder / "labelmap.pbtxt"),
        keyframes=read_keyframes(folder / "gt.csv"),
    )


def assert_equals(result: FrameMap, mean: float, per_class: dict[str, float | None]) -> None:
    answer = result.to_json()
    assert answer["mAP"] == pytest.approx(mean, abs=1e-12)
    assert {str(row["id"]): row["ap"] for row in answer["classes"]} == pytest.approx(
        per_class, abs=1e-12
    )


@pytest.mark.parametrize("name", ["crowd", "equal_overlaps", "formats", "typical"])
def test_own_cases(name: str) -> None:
    expected = json.loads((GOLDEN / name / "expected.json").read_text())
    assert_equals(score(GOLDEN / name), expected["mAP"], expected["AP"])


@pytest.mark.parametrize("name", SHARED)
def test_shared_cases(shared_data: Path, name: str) -> None:
    folder = shared_data / "metric_cases" / name
    expected = json.loads((folder / "expected.json").read_text())
    lower = expected["variants"].get("ties_fp_first", expected)
    result = score(folder)
    assert_equals(result, lower["mAP"], lower["per_class_AP"])
    upper = expected["variants"].get("ties_tp_first", expected)
    assert result.bounds == pytest.approx((lower["mAP"], upper["mAP"]), abs=1e-12)


def test_shared_malformed_case(shared_data: Path) -> None:
    with pytest.raises(InputError, match=r"det\.csv:\d+: expected 2, 7 or 8 columns"):
        score(shared_data / "metric_cases" / "malformed_columns")
