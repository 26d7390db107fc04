"""What a newcomer does wrong: one line that says what was expected and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ava_detect.cli import main as detect
from ava_eval.cli import main as score

SCORE = "score -g gt.csv -d det.csv -l labels.pbtxt"
AVA = "ava/slowfast_r50_8x8"
MISTAKES = [
    # (command line of either program, what its one line says)
    ("ava-detect", "expected COMMAND, as in `ava-detect train "),
    ("ava-detect trian demo/ava", "trian: no such command; did you mean 'train'?"),
    ("ava-detect --version", "--version: no such option"),
    ("ava-detect fly", "fly: no such command; there are demo, download, "),
    ("ava-detect train", "expected CONFIG, as in `ava-detect train ava/"),
    ("ava-detect train seed=1", "seed=1: expected a YAML file or the name of a recipe, such as"),
    ("ava-detect train folder", "folder: expected a YAML file or the name of a recipe, got a"),
    ("ava-detect train demo/av", "no such config file or recipe; did you mean 'demo/ava'?"),
    ("ava-detect train demo/ava seed 1", "seed: expected key.path=value, for example"),
    ("ava-detect describe demo/ava --size 64 x", "x: expected key.path=value, for example"),
    ("ava-detect train demo/ava optim.stepz=1", "no such setting; did you mean 'optim.steps'?"),
    (
        "ava-detect evaluate demo/ava evaluation.filp=true",
        "error: evaluation.filp=true: no such setting; did you mean 'evaluation.flip'?",
    ),
    ("ava-detect train demo/ava optim.steps=-1", "error: optim.steps=-1: Input should be"),
    ("ava-detect evaluate demo/ava weights = a.pt", "weights: expected key.path=value, without bl"),
    ("ava-detect evaluate demo/ava seed=1 weights= a.pt", "a.pt: expected key.path=value, without"),
    ("ava-detect describe demo/ava --size 64 seed = 1", "seed: expected key.path=value, without"),
    (f"ava-detect deploy {AVA} weights=final.pth -o x.onnx", "weights; did you mean 'final.pt'?"),
    (
        f"ava-detect deploy {AVA} weights=no/x.pt -o x.onnx",
        "no such file of weights; there is no folder",
    ),
    (f"ava-detect deploy {AVA} weights=else -o x.onnx", "no such file of weights; paths start at"),
    ("ava-detect train demo/ava lr=1", "did you mean 'optim.lr' or 'proposer.train.lr'?"),
    ("ava-detect train demo/ava --show_config", "option; did you mean '--show-config'?"),
    ("ava-detect train demo/ava --seed=1", "settings are written without dashes: seed=1"),
    ("ava-detect train demo/ava --seed 1", "settings are written without dashes: seed=VALUE"),
    ("ava-detect train demo/ava -seed=1", "settings are written without dashes: seed=1"),
    ("ava-detect describe demo/ava --size big", "--size: expected 16 to 4096 pixels, got 'big'"),
    ("ava-detect describe demo/ava --size 8", "--size: expected 16 to 4096 pixels, got '8'"),
    ("ava-detect download x --jobs many", "--jobs: expected 1 to 32 files at once, got 'many'"),
    ("ava-detect demo --proposer torchvison", "torchvison'; did you mean 'torchvision'?"),
    ("ava-detect demo -o gt.csv", "gt.csv/summary.json: the folder cannot be made: "),
    (f"ava-detect evaluate {AVA}", "weights: expected weights=FILE, the checkpoint to use, got"),
    (f"ava-detect export {AVA} -o x.csv", "got none; `ava-detect train` writes one"),
    (f"ava-detect annotate a.mp4 {AVA} -o b.mp4", "weights: expected weights=FILE"),
    (f"ava-detect annotate {AVA} a.mp4 -o b.mp4", f"{AVA}: VIDEO comes first, then CONFIG: annota"),
    ("ava-detect annotate my.yaml 0 -o b.mp4", "VIDEO comes first, then CONFIG: annotate 0 my.ya"),
    (f"ava-detect deploy {AVA} -o x.onnx", "weights: expected weights=FILE"),
    (f"ava-detect train {AVA} data.root=none", "data.root: none: no such folder; set data.root="),
    (f"ava-detect propose {AVA} data.root=none", "data.root: none: no such folder; set data.root="),
    (f"ava-detect train {AVA} data.root=folder", "folder/videos: no such folder; set data.root"),
    (f"ava-detect train {AVA} data.root=ava", "_train_v2.2.csv: no such file; set data.root"),
    (f"ava-detect train {AVA} data.root=ava data.label_map=ava_81", "ava_81: no such file; expe"),
    ("ava-eval", "expected COMMAND, as in `ava-eval score -g "),
    ("ava-eval scor", "scor: no such command; did you mean 'score'?"),
    ("ava-eval score gt.csv det.csv", "-l/--labelmap, as in `ava-eval score -g ava_val"),
    ("ava-eval score --grountruth x", "no such option; did you mean '--groundtruth'?"),
    (f"ava-eval {SCORE} --jsn x.json", "--jsn: no such option; did you mean '--json'?"),
    (f"ava-eval {SCORE} --protocol 2017", "expected one of 2020, 2019, 2018, pyslowfast, mma"),
    (f"ava-eval {SCORE} -g dt.csv", "dt.csv: cannot be read: No such file or directory; did you"),
    (f"ava-eval {SCORE} -g no/gt.csv", "there is no folder no"),
    (f"ava-eval {SCORE} -g else", "; paths start at /"),
    (f"ava-eval {SCORE} -l folder", "folder: cannot be read: Is a directory; expected a file"),
    (f"ava-eval {SCORE} -l gt.csv", "gt.csv: expected a label map with at least one block like"),
    (f"ava-eval {SCORE} --json gt.csv/x", "name another for the output"),
]


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "ava" / "videos").mkdir(parents=True)
    (tmp_path / "final.pt").touch()
    (tmp_path / "gt.csv").write_text("v,0902,0.1,0.1,0.5,0.5,1,0\n")
    (tmp_path / "det.csv").write_text("v,0902,0.1,0.1,0.5,0.5,1,0.5\n")
    (tmp_path / "labels.pbtxt").write_text('item {\n  name: "walk"\n  id: 1\n}\n')


@pytest.mark.parametrize(("line", "expected"), MISTAKES)
def test_a_mistake_is_told_with_its_remedy(
    line: str, expected: str, capsys: pytest.CaptureFixture
) -> None:
    program, *words = line.split()
    try:
        code = (detect if program == "ava-detect" else score)(words)
    except SystemExit as left:
        code = left.code
    output, errors = capsys.readouterr()
    assert (code, output) == (2, "")
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert expected in errors


def test_what_the_system_says_is_told_without_its_numbers() -> None:
    from ava_eval.errors import one_line

    assert one_line(OSError(13, "Permission denied", "a\nb")) == "a\\nb: Permission denied"
