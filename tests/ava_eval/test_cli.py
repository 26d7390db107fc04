"""``ava-eval``: exit codes, the one line of an error, JSON, warnings; and quick imports."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from ava_eval.cli import main

LABELS = 'item {\n  name: "walk"\n  id: 1\n}\nitem {\n  name: "talk"\n  id: 79\n}\n'
TRUTH = "v,0902,0.1,0.1,0.5,0.5,1,0\nv,0903,0.1,0.1,0.5,0.5,1,0\nv,0904\n"
FOUND = (
    "v,902,0.1,0.1,0.5,0.5,1,0.9\nv,904,0.1,0.1,0.5,0.5,1,0.95\n"
    "w,1,0.1,0.1,0.5,0.5,1,0.9\nv,902,0.1,0.1,0.1,0.5,1,0.9\n"
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gt.csv").write_text(TRUTH)
    (tmp_path / "det.csv").write_text(FOUND)
    (tmp_path / "labels.pbtxt").write_text(LABELS)
    (tmp_path / "excluded.csv").write_text("v,0904\n")
    return tmp_path


SCORE = ["score", "-g", "gt.csv", "-d", "det.csv", "-l", "labels.pbtxt"]


def test_json(files, capsys) -> None:
    assert main([*SCORE, "--json", "out.json"]) == 0
    answer = json.loads((files / "out.json").read_text())
    assert list(answer) == [
        "protocol",
        "ties",
        "mAP",
        "mAP_bounds",
        "classes",
        "groups",
        "counts",
        "inputs",
    ]
    assert (answer["protocol"], answer["ties"]) == ("2020", "fp-first")
    assert answer["mAP"] == 0.25
    assert answer["mAP_bounds"] == [0.25, 0.25]
    assert answer["classes"] == [
        {"id": 1, "name": "walk", "ap": 0.25, "num_groundtruth": 2, "num_detections": 2},
        {"id": 79, "name": "talk", "ap": None, "num_groundtruth": 0, "num_detections": 0},
    ]
    assert answer["groups"] == {
        "person_movement": 0.25,
        "object_manipulation": None,
        "person_interaction": None,
    }
    counts = {name: answer["counts"][name] for name in ("keyframes", "groundtruth", "detections")}
    assert counts == {"keyframes": 3, "groundtruth": 2, "detections": 4}
    assert answer["counts"]["ignored_keyframes"] == 1
    assert answer["counts"]["invalid_boxes"] == 1
    assert answer["inputs"][0] == {
        "role": "groundtruth",
        "path": "gt.csv",
        "sha256": hashlib.sha256(TRUTH.encode()).hexdigest(),
        "rows": 3,
    }
    assert [entry["role"] for entry in answer["inputs"]] == [
        "groundtruth",
        "detections",
        "labelmap",
    ]
    output, errors = capsys.readouterr()
    assert "mAP                 0.2500" in output
    assert [line.split(":")[0] for line in errors.splitlines()] == ["warning", "warning"]
    assert "add rows of 'video_id,timestamp' to the ground truth" in errors


def test_exclusions_are_told(files, capsys) -> None:
    assert main([*SCORE, "-e", "excluded.csv", "--json", "out.json"]) == 0
    answer = json.loads((files / "out.json").read_text())
    assert answer["mAP"] == 0.5
    assert answer["inputs"][3]["role"] == "excluded"
    told = "1 excluded keyframes left both sides, with 0 ground-truth boxes and 1 detections"
    assert told in capsys.readouterr().out


def test_undefined_map(files, capsys) -> None:
    (files / "gt.csv").write_text("v,0902\n")
    assert main([*SCORE, "--json", "out.json"]) == 0
    assert json.loads((files / "out.json").read_text())["mAP"] is None
    assert "the mAP is undefined" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"det.csv": "v,902,0.1\n"}, "error: det.csv:1: expected 2, 7 or 8 columns"),
        ({"det.csv": FOUND + "v,902,0.1,0.1,0.5,0.5,1,nan\n"}, "error: det.csv:5: column score"),
        ({"gt.csv": "v,902,0.5,0.1,0.1,0.5,1\n"}, "error: gt.csv:1: column x1,y1,x2,y2: "),
        ({"labels.pbtxt": "walk\n"}, "error: labels.pbtxt: expected a label map"),
        ({"labels.pbtxt": None}, "error: labels.pbtxt: cannot be read: No such file"),
    ],
)
def test_bad_files(files, capsys, change, message) -> None:
    for name, text in change.items():
        if text is None:
            (files / name).unlink()
        else:
            (files / name).write_text(text)
    assert main([*SCORE, "--json", "out.json"]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(message)
    assert errors.count("\n") == 1
    assert not (files / "out.json").exists()


@pytest.mark.parametrize("arguments", [[], ["score"], [*SCORE, "--ties", "best"], ["guess"]])
def test_bad_arguments(capsys, arguments) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_imports_stay_light() -> None:
    names = "[name for name in ('torch', 'pandas') if name in sys.modules]"
    assert run_python(f"import sys, ava_eval, ava_eval.cli; print({names})") == "[]"
    everything = "from ava_eval import *; import ava_eval.submission"
    assert run_python(f"import sys; {everything}; print({names})") == "['pandas']"


def test_module_runs(files) -> None:
    command = [sys.executable, "-m", "ava_eval"]
    done = subprocess.run([*command, *SCORE], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "mAP" in done.stdout
