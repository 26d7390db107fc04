"""The command line: help, word order, exit codes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ava_detect.cli import main, parse

COMMANDS = [
    *("demo", "download", "doctor", "prepare", "train-proposer", "propose", "train"),
    *("evaluate", "export", "describe", "convert", "report-proposals", "annotate", "deploy"),
    "ensemble",
]


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help(command: str | None, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"] if command is None else [command, "--help"])
    assert left.value.code == 0
    assert "usage: ava-detect" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["train"],
        ["export", "demo/ava"],
        ["describe", "demo/ava", "--size", "-1"],
        ["describe", "demo/ava", "--sise", "64"],
        ["demo", "--proposer", "yolo"],
        ["train", "demo/ava", "optim.steps"],
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(
    words: list[str], capsys: pytest.CaptureFixture
) -> None:
    try:
        code = main(words)
    except SystemExit as left:
        code = left.code
    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")


def test_settings_may_stand_behind_options() -> None:
    words = ["export", "demo/ava", "weights=a.pt", "-o", "b.csv", "split=test", "seed=1"]
    arguments = parse(words)
    assert arguments.overrides == ["weights=a.pt", "split=test", "seed=1"]
    assert arguments.output_file == Path("b.csv")


def test_several_processes_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for command in ("describe", "train-proposer"):
        assert main([command, "demo/ava"]) == 2
        error = capsys.readouterr().err
        assert "only propose, train, evaluate and export work as several" in error
        assert "torchrun" in error


def test_show_config(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "demo/ava", "--show-config", "optim.steps=7"]) == 0
    assert "steps: 7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("recipe", "params", "gmacs"),
    [
        ("ava/slowfast_r50_8x8", 33.829e6, 96.9),
        ("ava/slowfast_r50_4x16", 33.743e6, 52.6),
        ("ava/slow_r50_4x16", 31.798e6, 41.55),
        ("demo/ava", 1.338e6, 10.45),
    ],
)
def test_describe(
    recipe: str, params: float, gmacs: float, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    target = tmp_path / "facts.json"
    assert main(["describe", recipe, "--json", str(target)]) == 0
    facts = json.loads(target.read_text())
    assert facts["params"] == pytest.approx(params, rel=1e-4)
    assert facts["gmacs"]["total"] == pytest.approx(gmacs, rel=0.01)
    assert set(facts["gmacs"]) == {"total", "slow", "fast", "lateral"}
    assert "parameters" in capsys.readouterr().out


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "ava_detect", "train", "demo/ava", "--show-config"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.communicate()[1] == b""
    assert process.returncode == 128 + signal.SIGPIPE
