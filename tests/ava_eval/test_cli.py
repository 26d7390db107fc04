"""``ava-eval``: exit codes, the one line of an error, JSON, warnings; and quick imports."""

from __future__ import annotations

import hashlib
import json
import os
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
    told = "1 excluded keyframe left out, with 1 detection and 0 ground-truth boxes"
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
        (
            {"det.csv": "v,902,0.1,0.1,0.5,0.5,,0.9\n"},
            "error: det.csv:1: column action_id: expected a whole number, got ''; is it a file",
        ),
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


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02}", b"\x89HDF\r\n", b"{", b"a\0,1"])
def test_another_kind_of_file(files, capsys, start) -> None:
    (files / "final.pt").write_bytes(start + b"\0\xff\n" * 9)
    assert main(["score", "-g", "gt.csv", "-d", "final.pt", "-l", "labels.pbtxt"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: final.pt:1: ")
    assert errors.endswith("; is it a CSV?\n")


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


@pytest.mark.parametrize("ties", ["fp-first", "official"])
@pytest.mark.parametrize("protocol", ["2020", "2019", "2018", "pyslowfast", "mmaction2"])
def test_every_protocol_names_itself_and_what_it_did(files, capsys, protocol, ties) -> None:
    arguments = [*SCORE, "--protocol", protocol, "--ties", ties, "--json", "out.json"]
    assert main(arguments) == 0
    answer = json.loads((files / "out.json").read_text())
    assert (answer["protocol"], answer["ties"]) == (protocol, ties)
    for name in ("ignored_keyframes", "dropped_by_capacity", "invalid_boxes"):
        assert name in answer["counts"]
    output, errors = capsys.readouterr()
    assert f"protocol {protocol} (" in output
    assert "ignored, 0 detections beyond the cap" in output
    refused = "1 row of two columns: the original code"
    assert (refused in errors) == (protocol != "2020")


def test_counts_of_protocols(files) -> None:
    counted = {}
    for protocol in ("2020", "2019", "mmaction2"):
        assert main([*SCORE, "--protocol", protocol, "--json", "out.json"]) == 0
        answer = json.loads((files / "out.json").read_text())
        names = ("keyframes", "ignored_keyframes", "invalid_boxes")
        counted[protocol] = [answer["counts"][name] for name in names]
    # v,904 has no box of a listed action; w,1 is not in the ground truth.
    assert counted == {"2020": [3, 1, 1], "2019": [4, 0, 1], "mmaction2": [2, 2, 0]}


NOTICES = {
    # protocol: (detection that it speaks of, words of the warning)
    "2018": ("v,902,0.1,0.1,0.5,0.5,1,-11", "1 score in det.csv of -10 or below"),
    "pyslowfast": ("v,902,0.1,0.1,0.5,0.5,1", "1 detection without a score: the original code"),
    "mmaction2": ("v,902,0.5,0.1,0.1,0.5,1,1", "1 box with inverted corners: the original code"),
    "2019": ("v,902.0,0.1,0.1,0.5,0.5,1,1", "1 row with a time not written as a whole number"),
}


@pytest.mark.parametrize("protocol", NOTICES)
def test_what_the_original_would_not_take_is_said(files, capsys, protocol) -> None:
    row, words = NOTICES[protocol]
    (files / "det.csv").write_text("v,902,0.1,0.1,0.5,0.5,1,0.9\n" + row + "\n")
    assert main([*SCORE, "--protocol", protocol]) == 0
    assert words in capsys.readouterr().err


def test_a_file_without_rows_is_told(files, capsys) -> None:
    (files / "det.csv").write_text("")
    assert main(SCORE) == 0
    assert "warning: det.csv has no rows" in capsys.readouterr().err


def test_intervals(files, capsys) -> None:
    truth = "".join(f"v{i},0902,0.1,0.1,0.5,0.5,1,0\n" for i in range(9))
    found = "".join(f"v{i},902,0.1,0.1,0.5,{0.2 + i % 3 / 5},1,0.{i}\n" for i in range(9))
    (files / "gt.csv").write_text(truth)
    (files / "det.csv").write_text(found)
    assert main([*SCORE, "--resamples", "50", "--json", "out.json"]) == 0
    answer = json.loads((files / "out.json").read_text())
    low, high = answer["mAP_interval"]
    assert low < answer["mAP"] < high
    assert answer["classes"][0]["ap_interval"] == pytest.approx([low, high])
    assert answer["classes"][1]["ap_interval"] == [None, None]
    assert "95% of 50 resamples" in capsys.readouterr().out
    assert main([*SCORE, "--resamples", "0"]) == 2
    assert "--resamples: expected 1 to 100000, got 0" in capsys.readouterr().err


def test_compare(files, capsys) -> None:
    (files / "worse.csv").write_text(FOUND.replace("v,902,0.1,0.1,0.5,0.5", "v,902,0,0,0.1,0.1"))
    both = ["-g", "gt.csv", "-l", "labels.pbtxt", "-d", "det.csv", "-d", "worse.csv"]
    assert main(["compare", *both, "--resamples", "20", "--json", "out.json"]) == 0
    answer = json.loads((files / "out.json").read_text())
    assert answer["mAP"] == [0.25, 0.0]
    assert answer["delta"] == -0.25
    assert answer["classes"][0]["delta"] == -0.25
    assert answer["classes"][1]["delta"] is None
    assert [entry["path"] for entry in answer["inputs"]][1:3] == ["det.csv", "worse.csv"]
    output, errors = capsys.readouterr()
    assert "B - A  -0.2500" in output
    assert "fewer than two videos" in errors
    assert errors.count("in the ground truth") <= 2
    assert main(["compare", *both[:-2]]) == 2
    assert "-d: expected 2 files, got 1; give -d A.csv -d B.csv" in capsys.readouterr().err


def test_diagnose(files, capsys) -> None:
    assert main(["diagnose", *SCORE[1:], "--json", "out.json"]) == 0
    answer = json.loads((files / "out.json").read_text())
    share = sum(cause["share"] for cause in answer["causes"])
    assert share == pytest.approx(1 - answer["mAP"])
    assert answer["inputs"][0]["path"] == "gt.csv"
    output = capsys.readouterr().out
    assert "lost to" in output
    assert "ceiling" in output


def test_a_reader_that_leaves_early(files) -> None:
    command = f"{sys.executable} -m ava_eval {' '.join(SCORE)} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


def test_scoring_loads_no_pandas(files) -> None:
    code = (
        f"import sys; from ava_eval.cli import main; main({SCORE}); print('pandas' in sys.modules)"
    )
    assert run_python(code).splitlines()[-1] == "False"


def test_json_never_replaces_an_input_or_a_device(files, capsys) -> None:
    (files / "link.json").symlink_to("det.csv")
    os.mkfifo(files / "pipe")
    for path in ("det.csv", "gt.csv", "labels.pbtxt", "link.json", "pipe", "."):
        assert main([*SCORE, "--json", path]) == 2
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith("error: ")
        assert path in errors
    assert (files / "det.csv").read_text() == FOUND


def test_json_goes_where_a_link_points(files) -> None:
    (files / "real.json").write_text("old")
    (files / "link.json").symlink_to("real.json")
    assert main([*SCORE, "--json", "link.json"]) == 0
    assert (files / "link.json").is_symlink()
    assert json.loads((files / "real.json").read_text())["mAP"] == 0.25


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-d", "det.csv"], "-d: expected 1 file, got 2; 'ava-eval compare' compares two"),
        (["--resamples", "5", "--seed", "-1"], "--seed: expected a number from 0 on, got -1"),
        (["--resamples", "1000000000"], "--resamples: expected 1 to 100000"),
        (["--resamples", "5", "--ties", "official"], "--resamples: expected --ties fp-first"),
        (["-g", ""], "expected the name of a file, got ''"),
        (["-g", "a\nb"], "a\\nb: cannot be read"),
    ],
)
def test_settings_that_make_no_sense(files, capsys, more, message) -> None:
    assert main([*SCORE, *more]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {message}")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("truth", "found", "first"),
    [
        ("det.csv", "gt.csv", "det.csv (-g) has scores and gt.csv (-d) has none: are -g and -d sw"),
        ("det.csv", "det.csv", "4 boxes in det.csv with a fraction for a person id: is it a file"),
        ("gt.csv", "test.csv", "no keyframe of test.csv is in gt.csv: are they of the same split"),
        ("gt.csv", "det.csv", "1 keyframe of det.csv not in gt.csv: detections there were ignored"),
    ],
)
def test_files_in_the_wrong_place_are_noticed(files, capsys, truth, found, first) -> None:
    (files / "test.csv").write_text(FOUND.replace("v,", "t,").replace("w,", "t,"))
    assert main(["score", "-g", truth, "-d", found, "-l", "labels.pbtxt"]) == 0
    errors = capsys.readouterr().err
    assert errors.startswith(f"warning: {first}")
    assert found != "test.csv" or "add rows" not in errors


def test_exclusions_of_another_split_are_noticed(files, capsys) -> None:
    (files / "excluded.csv").write_text("other,0904\n")
    assert main([*SCORE, "-e", "excluded.csv"]) == 0
    assert "no keyframe of excluded.csv occurs in" in capsys.readouterr().err


def test_names_that_the_terminal_cannot_show(files) -> None:
    (files / "labels.pbtxt").write_text(LABELS.replace("walk", "\xeatre"), encoding="utf-8")
    command = [sys.executable, "-m", "ava_eval", *SCORE]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0
    assert "\\xeatre" in done.stdout


def test_closed_output(files) -> None:
    command = f"{sys.executable} -m ava_eval {' '.join(SCORE)} >&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
