"""Numbers recorded from the official script, on small cases of our own and on the shared ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
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


def score(folder: Path, protocol: str = "2020") -> FrameMap:
    return evaluate(
        read_annotations(folder / "gt.csv", strict=False),
        read_detections(folder / "det.csv"),
        read_label_map(folder / "labelmap.pbtxt"),
        keyframes=read_keyframes(folder / "gt.csv"),
        protocol=protocol,
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


PEERS = {"pyslowfast": "pyslowfast_from_files", "mmaction2": "mmaction2_ava_eval"}


@pytest.mark.parametrize("protocol", PEERS)
@pytest.mark.parametrize("name", SHARED)
def test_shared_cases_of_peers(shared_data: Path, name: str, protocol: str) -> None:
    """Recorded answers of PySlowFast and mmaction2; what these refuse, we take."""
    folder = shared_data / "metric_cases" / name
    expected = json.loads((folder / "expected.json").read_text())["variants"][PEERS[protocol]]
    result = score(folder, protocol)
    if "raises" in expected:
        assert 0 < result.mean < 1
        return
    lower, upper = result.bounds
    assert lower - 1e-12 <= expected["mAP"] <= upper + 1e-12
    if lower == upper:
        answer = {str(row["id"]): row["ap"] for row in result.to_json()["classes"]}
        wanted = expected.get("per_class_AP", {})
        assert {key: answer[key] for key in wanted} == pytest.approx(wanted, abs=1e-12)
        groups = {"overall": result.mean} | result.groups
        for name, mean in expected.get("groups", {}).items():
            assert groups[name] == pytest.approx(np.nan if mean is None else mean, nan_ok=True)


def test_shared_malformed_case(shared_data: Path) -> None:
    with pytest.raises(InputError, match=r"det\.csv:\d+: expected 2, 7 or 8 columns"):
        score(shared_data / "metric_cases" / "malformed_columns")
