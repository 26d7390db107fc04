"""The APs of another run, read from whatever tells them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ava_eval.classes import Classes
from ava_eval.errors import InputError
from ava_eval.report.reference import read_reference


@pytest.mark.parametrize(
    "text",
    [
        "{ 'PascalBoxes_PerformanceByCategory/AP@0.5IOU/walk': 0.25,\n"
        "  'PascalBoxes_PerformanceByCategory/AP@0.5IOU/wave, twice': nan,\n"
        "  'PascalBoxes_Precision/mAP@0.5IOU': 0.5}",
        "mAP@0.5IOU=\t0.5\nPerformanceByCategory/AP@0.5IOU/walk=\t0.25\n",
        '{"PascalBoxes_PerformanceByCategory/AP@0.5IOU/walk": 0.25, "mAP@0.5IOU": 5e-1}',
        "{'a/AP@0.5IOU/walk': np.float64(0.25), 'b/mAP@0.5IOU': np.float64(0.5)}",
    ],
    ids=["official script", "mmaction2", "one line", "NumPy 2"],
)
def test_logs_of_the_peers(text: str, tmp_path: Path, label_map) -> None:
    (tmp_path / "log.txt").write_text(text)
    reference = read_reference(tmp_path / "log.txt", Classes.of_table(label_map))
    assert reference.mean == 0.5
    assert reference.ap[0] == 0.25
    assert np.isnan(reference.ap[1:]).all()


@pytest.mark.parametrize("text", ["nothing", '{"classes": [{"id": 1}]}', '{"classes": 5}', ""])
def test_what_has_no_aps_is_refused(text: str, tmp_path: Path, label_map) -> None:
    (tmp_path / "other").write_text(text)
    with pytest.raises(InputError, match="expected"):
        read_reference(tmp_path / "other", Classes.of_table(label_map))
