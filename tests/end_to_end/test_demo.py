"""The demo, on a world of a few seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ava_detect.commands.demo import run_demo
from ava_eval.cli import main as score_main
from ava_eval.errors import InputError
from tests.small import SMALL_MODEL

WORLD = {
    "train_videos": 2,
    "val_videos": 2,
    "test_videos": 1,
    "train_clips": 0,
    "val_clips": 0,
    "seconds": 5,
    "workers": 1,
}
QUICK = (
    *SMALL_MODEL,
    *("optim.steps=2", "optim.warmup_steps=1", "optim.batch_size=2", "evaluation.min_score=0"),
    *("proposer.train.steps=3", "proposer.train.batch_size=2", "proposer.min_score=0.01"),
)


def test_the_summary_says_what_was_written(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    summary = run_demo(tmp_path, seed=5, overrides=QUICK, world=WORLD)
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["mAP"]) == {"proposals", "groundtruth_boxes", "class_priors"}
    assert {"train", "total"} <= set(summary["seconds"])
    assert {"groundtruth", "detections", "labelmap", "submission"} <= set(summary["files"])
    printed = capsys.readouterr().out
    for path in summary["files"].values():
        assert (tmp_path / path).is_file()
        assert str(tmp_path / path) in printed
    assert printed.splitlines()[-1].split() == ["report", str(tmp_path / "report.html")]
    files = [str(tmp_path / summary["files"][k]) for k in ("groundtruth", "detections", "labelmap")]
    scored = tmp_path / "scored.json"
    words = [word for pair in zip(["-g", "-d", "-l"], files, strict=True) for word in pair]
    assert score_main(["score", *words, "--json", str(scored)]) == 0
    mean = json.loads(scored.read_text())["mAP"]
    assert mean == pytest.approx(summary["mAP"]["proposals"], abs=1e-12)


def test_the_demo_keeps_off_other_runs(tmp_path: Path) -> None:
    (tmp_path / "final.pt").write_bytes(b"somebody's work")
    with pytest.raises(InputError, match="holds a run that is no demo"):
        run_demo(tmp_path, overrides=QUICK, world=WORLD)
    assert (tmp_path / "final.pt").read_bytes() == b"somebody's work"
