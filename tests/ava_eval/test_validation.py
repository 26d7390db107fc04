"""Every violation at once, each with its line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from ava_eval.cli import main
from ava_eval.validation import RULES, ranges

HEADER = "id,time,left,top,right,bottom,action,score"
GOOD = "v,0902,0.1,0.1,0.5,0.5,1,0.9"
LABELS = "".join(f'item {{\n  name: "c{i}"\n  id: {i}\n}}\n' for i in (1, 3, 80))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.pbtxt").write_text(LABELS)
    (tmp_path / "keyframes.csv").write_text("v,0902\nv,0903\nv,0904\nw,0902\n")
    (tmp_path / "excluded.csv").write_text("v,0904\n")
    return tmp_path


def validate(folder: Path, *rows: str) -> tuple[int, dict]:
    (folder / "det.csv").write_text("".join(f"{row}\n" for row in rows))
    command = ["validate", "-d", "det.csv", "-l", "labels.pbtxt", "--json", "out.json"]
    code = main([*command, "--keyframes", "keyframes.csv", "-e", "excluded.csv"])
    return code, json.loads((folder / "out.json").read_text())


def test_valid(folder: Path, capsys) -> None:
    code, answer = validate(folder, GOOD, GOOD.replace(",1,", ",3,"), GOOD.replace("2,", "3,", 1))
    assert code == 0
    assert answer["valid"]
    assert answer["violations"] == []
    assert answer["counts"] == {
        "rows": 3,
        "keyframes": 2,
        "listed_keyframes": 3,
        "covered_keyframes": 2,
        "tied_rows": 2,
    }
    digest = hashlib.sha256((folder / "det.csv").read_bytes()).hexdigest()
    assert answer["inputs"][0] == {
        "role": "detections",
        "path": "det.csv",
        "sha256": digest,
        "rows": 3,
    }
    assert [entry["role"] for entry in answer["inputs"]] == [
        "detections",
        "labelmap",
        "excluded",
        "keyframes",
    ]
    output = capsys.readouterr().out
    assert "det.csv: valid, 3 rows on 2 keyframes" in output
    assert "coverage: 2 of 3 keyframes" in output
    assert "2 rows have the score of another row" in output


# The violation, what stands in line 2 of the example, and the words of its example.
ROWS = {
    "columns": [
        ("v,0902,0.1,0.1,0.5,0.5,1", None, "7 columns"),
        ("v,0902", None, "2 columns"),
        ("v,0902,1,2", None, "4 columns"),
        ("", None, "a blank line"),
    ],
    "cells": [
        (HEADER, None, HEADER),
        ("v,0902,0.1,x,0.5,0.5,1,0.9", "y1", "x"),
        ("v,0902,0.1,0.1,0.5,0.5,1.0,0.9", "action_id", "1.0"),
        ("v,soon,0.1,0.1,0.5,0.5,1,0.9", "timestamp", "soon"),
    ],
    "video_id": [
        (",0902,0.1,0.1,0.5,0.5,1,0.8", "video_id", ""),
        ("v ,0902,0.1,0.1,0.5,0.5,1,0.8", "video_id", "v "),
    ],
    "timestamp": [("v,inf,0.1,0.1,0.5,0.5,1,0.8", "timestamp", "inf")],
    "action": [("v,0902,0.1,0.1,0.5,0.5,2,0.8", "action_id", "2")],
    "box": [
        ("v,0902,-0.1,0.1,0.5,0.5,1,0.8", "x1,y1,x2,y2", "-0.1,0.1,0.5,0.5"),
        ("v,0902,0.1,0.1,0.5,1.5,1,0.8", "x1,y1,x2,y2", "0.1,0.1,0.5,1.5"),
        ("v,0902,0.5,0.1,0.1,0.5,1,0.8", "x1,y1,x2,y2", "0.5,0.1,0.1,0.5"),
        ("v,0902,0.1,0.1,0.1,0.5,1,0.8", "x1,y1,x2,y2", "0.1,0.1,0.1,0.5"),
        ("v,0902,nan,0.1,0.5,0.5,1,0.8", "x1,y1,x2,y2", "nan,0.1,0.5,0.5"),
    ],
    "score": [
        ("v,0902,0.1,0.1,0.5,0.5,3,nan", "score", "nan"),
        ("v,0902,0.1,0.1,0.5,0.5,3,-inf", "score", "-inf"),
    ],
    "keyframe": [
        ("v,0905,0.1,0.1,0.5,0.5,1,0.9", None, "v,0905, action 1"),
        ("x,0902,0.1,0.1,0.5,0.5,80,0.9", None, "x,0902, action 80"),
    ],
    "excluded": [("v,0904,0.1,0.1,0.5,0.5,1,0.9", None, "v,0904, action 1")],
    "duplicate": [
        (GOOD, None, "v,0902, action 1, as on line 1"),
        ("v,902.0,0.10,0.1,0.5,5e-1,1,0.3", None, "v,0902, action 1, as on line 1"),
    ],
}
CASES = [(kind, *case) for kind, cases in ROWS.items() for case in cases]


@pytest.mark.parametrize(("kind", "row", "column", "got"), CASES)
def test_each_rule(folder: Path, capsys, kind: str, row: str, column: str | None, got: str) -> None:
    code, answer = validate(folder, GOOD, row, "v,0903,0.1,0.1,0.5,0.5,1,0.9")
    assert code == 1
    found = next(v for v in answer["violations"] if v["kind"] == kind)
    assert found["lines"] == [[2, 2]]
    assert found["rows"] == 1
    example = found["examples"][0]
    assert (example["line"], example["column"], example["got"]) == (2, column, got)
    others = {v["kind"] for v in answer["violations"]} - {kind}
    assert others <= {"keyframe"}  # a wrong time or video is not in the list either
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("det.csv:2: "))
    assert repr(got) in line


def test_more_than_fifty_rows(folder: Path, capsys) -> None:
    """The rows that will be dropped are named: those the official cap drops."""
    rows = [f"v,0902,0.1,0.1,0.5,{0.5 + i / 1000:.3f},1,{(i % 60) / 60:.4f}" for i in range(60)]
    code, answer = validate(folder, *rows)
    assert code == 1
    (found,) = answer["violations"]
    assert found["kind"] == "capacity"
    assert found["lines"] == [[1, 10]]
    assert "these rows will be dropped" in capsys.readouterr().out


def test_everything_at_once(folder: Path, capsys) -> None:
    """All rules are broken; each is told, and only lines that break one."""
    rows = [GOOD] + [row for cases in ROWS.values() for row, _, _ in cases]
    rows += [f"w,0902,0.1,0.1,0.5,{0.5 + i / 1000:.3f},1,0.5" for i in range(52)]
    code, answer = validate(folder, *rows)
    assert code == 1
    assert {v["kind"] for v in answer["violations"]} == set(RULES) - {"rows"}
    assert answer["counts"]["rows"] == len(rows)
    output = capsys.readouterr().out.splitlines()
    for violation in answer["violations"]:
        assert any(line.startswith(f"det.csv: {violation['kind']}: ") for line in output)
    told = {line.split(":")[1] for line in output if line.startswith("det.csv:")}
    assert {str(number) for number in range(2, 2 + len(CASES))} <= told


def test_many_rows_of_a_kind_are_told_by_line(folder: Path, capsys) -> None:
    code, answer = validate(folder, *["v,0902,0.1,0.1,0.5,0.5,2,0.9"] * 100, GOOD)
    assert code == 1
    (found,) = answer["violations"]
    assert found["lines"] == [[1, 100]]
    assert len(found["examples"]) == 20
    assert "100 rows, those not shown on lines 21-100;" in capsys.readouterr().out


def test_a_byte_order_mark_would_become_part_of_an_id(folder: Path) -> None:
    code, answer = validate(folder, "\ufeff" + GOOD)
    assert code == 1
    (found,) = answer["violations"]
    assert (found["kind"], found["lines"]) == ("cells", [[1, 1]])
    assert found["examples"][0]["expected"] == "no byte-order mark in front"
    assert answer["counts"]["rows"] == 1


def test_no_rows(folder: Path) -> None:
    code, answer = validate(folder)
    assert code == 1
    assert [v["kind"] for v in answer["violations"]] == ["rows"]


@pytest.mark.parametrize("missing", ["det.csv", "labels.pbtxt", "keyframes.csv"])
def test_files_that_cannot_be_opened(folder: Path, capsys, missing: str) -> None:
    (folder / "det.csv").write_text(GOOD)
    (folder / missing).unlink()
    command = ["validate", "-d", "det.csv", "-l", "labels.pbtxt", "--keyframes", "keyframes.csv"]
    assert main([*command, "--json", "out.json"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {missing}: cannot be read: No such file")
    assert not (folder / "out.json").exists()


def test_ranges() -> None:
    assert ranges(np.array([], dtype=int)) == []
    assert ranges([0, 1, 2, 5, 7, 8]) == [[0, 2], [5, 5], [7, 8]]
