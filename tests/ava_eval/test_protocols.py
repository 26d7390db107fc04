"""Every protocol against recorded answers of its original code (``tools/fuzz_metric.py``)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from ava_eval.evaluation_inputs import read_inputs
from ava_eval.frame_map import FrameMap, frame_map, get_ties
from ava_eval.protocol import PROTOCOLS

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "protocols.jsonl.gz"
with gzip.open(GOLDEN, "rt") as lines:
    CASES = [json.loads(line) for line in lines]


def number(value: float | None) -> float:
    return np.nan if value is None else value


def score(folder: Path, case: dict, ties: str) -> FrameMap:
    files = {"truth": "gt.csv", "found": "det.csv", "excluded": "ex.csv"}
    for name, file in files.items():
        if case[name] is not None:
            (folder / file).write_text(case[name])
    labels = "".join(f'item {{ name: "c{i}" id: {i} }}' for i in case["labels"])
    (folder / "labels.pbtxt").write_text(labels)
    inputs = read_inputs(
        str(folder / "gt.csv"),
        [str(folder / "det.csv")],
        str(folder / "labels.pbtxt"),
        None if case["excluded"] is None else str(folder / "ex.csv"),
    )
    return frame_map(inputs.score(PROTOCOLS[case["protocol"]], get_ties(ties)), inputs.classes)


def by_id(result: FrameMap, column: np.ndarray, ids: list[str]) -> list[float]:
    place = {str(number): i for i, number in enumerate(result.classes.ids)}
    return [column[place[i]] for i in ids]


@pytest.mark.parametrize("case", CASES, ids=[f"{c['protocol']}-{i}" for i, c in enumerate(CASES)])
def test_original_answers(tmp_path: Path, case: dict) -> None:
    result = score(tmp_path, case, "fp-first")
    ids = list(case["ap"])
    lower, upper = (by_id(result, bound, ids) for bound in result.ap_bounds.T)
    expected = [number(ap) for ap in case["ap"].values()]
    np.testing.assert_array_equal(np.isnan(lower), np.isnan(expected))
    assert all(
        low - 1e-12 <= ap <= high + 1e-12 or ap != ap
        for low, ap, high in zip(lower, expected, upper, strict=True)
    )
    if case["mAP"] is not None:
        assert result.bounds[0] - 1e-12 <= case["mAP"] <= result.bounds[1] + 1e-12
    if not case["tied"]:
        np.testing.assert_allclose(by_id(result, result.ap, ids), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("case", CASES, ids=[f"{c['protocol']}-{i}" for i, c in enumerate(CASES)])
def test_official_order_of_equal_scores(tmp_path: Path, case: dict) -> None:
    """Recorded with a stable ``argsort``, whose answer does not depend on the processor."""
    argsort = np.argsort
    with mock.patch("numpy.argsort", lambda a, axis=-1, kind=None: argsort(a, axis, "stable")):
        result = score(tmp_path, case, "official")
    ids = list(case["stable_ap"])
    expected = [number(ap) for ap in case["stable_ap"].values()]
    np.testing.assert_array_equal(by_id(result, result.ap, ids), expected)
    np.testing.assert_array_equal(result.mean, number(case["stable_mAP"]))


def test_recorded_cases_are_worth_it() -> None:
    assert {case["protocol"] for case in CASES} == set(PROTOCOLS)
    assert sum(case["tied"] for case in CASES) > len(CASES) / 5
    assert any(case["ap"] != case["stable_ap"] for case in CASES)
