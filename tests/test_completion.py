"""Completion, in a real bash, and what the scripts of zsh hold."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ava_detect.cli import main as detect
from ava_eval.cli import main as score

pytest.importorskip("shtab")
MAIN = {"ava-detect": detect, "ava-eval": score}

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


def complete(script: Path, words: list[str]) -> list[str]:
    """What bash proposes for the last word, by the function that the script registers."""
    code = """
        source "$1"; shift
        function=$(complete -p "$1"); function=${function##*-F }; function=${function%% *}
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        "$function"; printf '%s\\n' "${COMPREPLY[@]}"
    """
    command = ["bash", "--norc", "-c", code, "bash", str(script), *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=script.parent, timeout=30
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture
def scripts(tmp_path: Path, capsys: pytest.CaptureFixture) -> dict[str, Path]:
    (tmp_path / "mine.yaml").touch()
    found = {}
    for program, main in MAIN.items():
        assert main(["completion", "bash"]) == 0
        found[program] = tmp_path / f"{program}.bash"
        found[program].write_text(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ava-detect tr", {"train", "train-proposer"}),
        ("ava-detect train demo/p", {"demo/pedestrians"}),
        ("ava-detect train min", {"mine.yaml"}),
        ("ava-detect train demo/ava optim.st", {"optim.steps="}),
        ("ava-detect train demo/ava seed = 1 optim.st", {"optim.steps="}),
        ("ava-detect train demo/ava weights = min", {"mine.yaml"}),
        ("ava-detect export demo/ava split = t", {"train", "test"}),
        ("ava-detect export demo/ava split =", {"train", "val", "test"}),
        ("ava-detect evaluate demo/ava evaluation.boxes = g", {"groundtruth"}),
        ("ava-detect evaluate demo/ava evaluation.flip = t", {"true"}),
        ("ava-detect evaluate demo/ava split = val evaluation.fl", {"evaluation.flip="}),
        ("ava-detect download videos-t", {"videos-trainval", "videos-test"}),
        ("ava-detect train demo/ava --sh", {"--show-config"}),
        ("ava-detect annotate film.mp4 demo/k", {"demo/kinetics"}),
        ("ava-detect demo --proposer t", {"torchvision"}),
        ("ava-detect ensemble a.csv min", {"mine.yaml"}),
        ("ava-eval sc", {"score"}),
        ("ava-eval score --protocol py", {"pyslowfast"}),
        ("ava-eval score -g min", {"mine.yaml"}),
        ("ava-eval completion z", {"zsh"}),
    ],
)
def test_bash(scripts: dict[str, Path], line: str, expected: set[str]) -> None:
    words = line.split()
    assert set(complete(scripts[words[0]], words)) == expected


@pytest.mark.parametrize("program", MAIN)
def test_zsh(program: str, capsys: pytest.CaptureFixture) -> None:
    assert MAIN[program](["completion", "zsh"]) == 0
    script = capsys.readouterr().out
    assert script.startswith(f"#compdef {program}\n")
    assert '"(*):' not in script  # with which zsh completes only the first of several words
    assert ("demo/pedestrians" in script) == (program == "ava-detect")
    assert ("split) echo train val test" in script) == (program == "ava-detect")
