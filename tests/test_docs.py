"""The metric's worked example is what happens; `tests/docs` runs the commands of all pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ava_eval.cli import main
from ava_eval.protocol import PROTOCOLS

ROOT = Path(__file__).resolve().parents[1]
METRIC = (ROOT / "docs" / "metric.md").read_text(encoding="utf-8")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the worked example."""
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r'```\w+ title="([\w.]+)"\n(.*?)```', METRIC, re.DOTALL):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_worked_example(example: Path, capsys) -> None:
    commands = re.findall(r"^ava-eval (.*)$", METRIC, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert main([*command.split(), "--json", "out.json"]) == 0
        mean = json.loads((example / "out.json").read_text())["mAP"]
        assert mean == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 5)
        assert "**0.4667**" in METRIC
    causes = json.loads((example / "out.json").read_text())["causes"]
    lost = {cause["name"] for cause in causes if cause["share"] > 0}
    assert lost == {"localisation", "duplicate", "background"}
    assert "lost to" in capsys.readouterr().out


def test_protocols_of_the_example(example: Path) -> None:
    (names,) = re.findall(r"^\| \| `(2020)` \(default\) (.*)\|$", METRIC, re.MULTILINE)
    protocols = [names[0], *re.findall(r"`(\w+)`", names[1])]
    assert protocols == list(PROTOCOLS)
    (values,) = re.findall(r"^\| the example above (.*)\|$", METRIC, re.MULTILINE)
    for protocol, value in zip(protocols, values.strip("| ").split("|"), strict=True):
        files = ["-g", "truth.csv", "-d", "found.csv", "-l", "labels.pbtxt"]
        assert main(["score", *files, "--protocol", protocol, "--json", "out.json"]) == 0
        mean = json.loads((example / "out.json").read_text())["mAP"]
        assert f"{mean:.4f}" == value.strip()
