"""Merging files of detections."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ava_detect.cli import main
from ava_eval import read_detections
from ava_eval.ensemble import merge_detections
from ava_eval.errors import InputError

A = """\
v,0902,0.1,0.2,0.3,0.4,1,0.8
v,0902,0.1,0.2,0.3,0.4,7,0.5
w,0903,0.5,0.5,0.9,0.9,1,0.3
"""
B = """\
w,903.0,0.50000004,0.5,0.9,0.9,1,0.9
v,0902,0.1,0.2,0.3,0.400001,1,1.0
v,0902,0.1,0.2,0.3,0.4,1,0.2
"""


def table(text: str, folder: Path, name: str = "a.csv") -> pd.DataFrame:
    (folder / name).write_text(text)
    return read_detections(folder / name)


def by_loops(tables: list[pd.DataFrame], weights: list[float], geometric: bool) -> dict:
    """The definition, in plain Python: key -> score, in order."""
    scores: list[dict] = []
    for one in tables:
        mine: dict = {}
        for row in one.itertuples():
            box = tuple(round(x * 1e6) for x in (row.x1, row.y1, row.x2, row.y2))
            key = (row.video_id, f"{row.timestamp:.6f}", *box, row.action_id)
            mine[key] = max(row.score, mine.get(key, -math.inf))
        scores.append(mine)
    merged = {}
    for key in dict.fromkeys(key for mine in scores for key in mine):
        values = [mine.get(key, 0.0) for mine in scores]
        if geometric:
            powers = [v ** (w / sum(weights)) for v, w in zip(values, weights, strict=True)]
            merged[key] = math.prod(powers)
        else:
            merged[key] = sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
    return merged


def test_a_hand_example(tmp_path: Path) -> None:
    merged = merge_detections([table(A, tmp_path), table(B, tmp_path)], [3, 1])
    found = merged.detections
    # the first file's rows in its order and digits, then the box that is another
    assert found["video_id"].tolist() == ["v", "v", "w", "v"]
    assert found["x1"].tolist() == [0.1, 0.1, 0.5, 0.1]
    np.testing.assert_allclose(found["score"], [0.65, 0.375, 0.45, 0.25])
    assert (merged.rows_in_all, merged.boxes, merged.boxes_in_all) == (2, 3, 2)
    assert (merged.keyframes, merged.keyframes_in_all, merged.repeated) == (2, 2, 0)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_it_is_what_loops_compute(mean) -> None:
    random = np.random.default_rng(0)
    tables = []
    for _ in range(3):  # few values, so that there are equal rows within and between tables
        size = 400
        corners = random.integers(-2, 2, (size, 4)) / 7
        tables.append(
            pd.DataFrame(corners, columns=["x1", "y1", "x2", "y2"]).assign(
                video_id=random.choice(["a", "b"], size),
                timestamp=random.choice([902.0, 903.5], size),
                action_id=random.integers(1, 4, size),
                score=random.choice([0.0, 0.25, 0.5, 1.0], size),
            )
        )
    weights = [2.0, 1.0, 0.5]
    merged = merge_detections(tables, weights, mean).detections
    expected = by_loops(tables, weights, mean == "geometric")
    keys = [
        (r.video_id, f"{r.timestamp:.6f}", *(round(x * 1e6) for x in r[3:7]), r.action_id)
        for r in merged.itertuples()
    ]
    assert keys == list(expected)
    np.testing.assert_allclose(merged["score"], list(expected.values()), rtol=1e-12, atol=1e-15)


def test_a_file_with_itself_is_itself(tmp_path: Path) -> None:
    one = table(A, tmp_path)
    pd.testing.assert_frame_equal(merge_detections([one, one]).detections, one)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    a, b, out = (tmp_path / name for name in ("a.csv", "b.csv", "merged.csv"))
    a.write_text(A)
    b.write_text(B)
    assert main(["ensemble", str(a), str(b), "-o", str(out), "--weights", "3", "1"]) == 0
    np.testing.assert_allclose(read_detections(out)["score"], [0.65, 0.375, 0.45, 0.25])
    assert "4, of which 2 are in all files; the other 2 count as 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("v,0902,0.1,0.2,0.3,0.5,1,0.8\nw,0903,0.5,0.5,0.8,0.9,1,0.3\n", "0 of 4 boxes"),
        ("v,0002,0.1,0.2,0.3,0.4,1,0.8\nw,0003,0.5,0.5,0.9,0.9,1,0.3\n", "0 of 4 keyframes"),
    ],
)
def test_files_that_do_not_belong_together(
    text: str, hint: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.csv").write_text(A)
    (tmp_path / "b.csv").write_text(text)
    words = ["ensemble", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert main([*words, "-o", str(tmp_path / "out.csv")]) == 0
    assert f"only {hint} are in all files" in caplog.text


@pytest.mark.parametrize(
    ("b", "more", "message"),
    [
        (None, [], "b.csv: "),
        ("", [], "b.csv: expected detections, got none"),
        (B, ["--weights", "1"], "--weights: expected one for each of the 2 files, got 1"),
        (B, ["--weights", "1", "0"], "weights: expected positive numbers"),
        (B, ["--weights", "1", "nan"], "weights: expected positive numbers"),
        ("v,0902,0.1,0.2,0.3,0.4,1\n", [], "b.csv:1: column columns: expected 8 columns"),
        ("v,0902,0.1,0.2,0.3,0.4,1,inf\n", [], "b.csv:1: column score: expected a finite"),
        ("v\nv,0902,nan,0.2,0.3,0.4,1,1\n", [], "b.csv:1: "),
        ("v,0902\nv,0902,0.1,0.2,nan,0.4,1,1\n", [], "b.csv:2: column x2: expected a fraction"),
        (
            "v,0902,0.1,0.2,0.3,0.4,1,-1\n",
            ["--mean", "geometric"],
            "b.csv:1: column score: expected a score from 0 on",
        ),
    ],
)
def test_bad_input_is_one_line(
    b: str | None,
    more: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    (tmp_path / "a.csv").write_text(A)
    if b is not None:
        (tmp_path / "b.csv").write_text(b)
    out = tmp_path / "out.csv"
    words = ["ensemble", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "-o", str(out)]
    assert main([*words, *more]) == 2
    errors = [e for e in capsys.readouterr().err.splitlines() if e.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert not out.exists()


def test_an_input_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "a.csv"
    path.write_text(A)
    assert main(["ensemble", str(path), str(path), "-o", str(path)]) == 2
    assert "expected a file that is not also read" in capsys.readouterr().err
    assert path.read_text() == A


def test_one_file_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two files of detections or more, got 1"):
        merge_detections([table(A, tmp_path)])


def test_the_command_loads_no_torch() -> None:
    code = "import sys, ava_detect.commands.ensemble; print({'torch', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
