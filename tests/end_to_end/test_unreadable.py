"""One bad video among many does not end a run, if that is asked for; it is told and counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ava_detect.cli import main
from ava_detect.synthetic import make_world
from ava_eval import read_annotations
from tests.small import SMALL_MODEL

QUICK = (
    *SMALL_MODEL,
    "optim.steps=4",
    "optim.warmup_steps=2",
    "optim.batch_size=2",
    "log_every=1",
    "evaluation.min_score=0",
    "proposer.train.steps=2",
    "proposer.train.batch_size=2",
    "proposer.min_score=0.01",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three training and three validation videos, of which each split has a cut one.

    And one of the training videos is missing.
    """
    folder = tmp_path_factory.mktemp("world")
    make_world(
        folder,
        seed=5,
        train_videos=3,
        val_videos=3,
        test_videos=0,
        train_clips=0,
        val_clips=0,
        seconds=5,
        workers=1,
    )
    for split in ("train", "val"):
        path = video_of(folder, split, 0)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video_of(folder, "train", 1).unlink()
    return folder


def video_of(folder: Path, split: str, number: int) -> Path:
    ids = read_annotations(folder / f"{split}.csv")["video_id"].unique()
    return folder / "videos" / f"{ids[number]}.mp4"


def detect(command: str, world: Path, output: Path, *words: str) -> int:
    return main([command, "demo/ava", f"data.root={world}", f"output={output}", *QUICK, *words])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_without_bad_videos(
    world: Path, tmp_path: Path, workers: int, capsys: pytest.CaptureFixture, caplog
) -> None:
    skip = ("data.on_error=skip", f"data.workers={workers}", "data.cache_gb=0")
    for command in ("train-proposer", "propose", "train"):
        assert detect(command, world, tmp_path, *skip) == 0, capsys.readouterr().err
    cut = video_of(world, "val", 0).stem
    facts = json.loads((tmp_path / "proposals_val.csv.json").read_text())
    assert list(facts["skipped_keyframes"]) == [cut]
    count = facts["skipped_keyframes"][cut]
    assert count > 1
    assert f"skipped: {count} keyframes of 1 videos" in capsys.readouterr().out
    logged = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert logged[-1]["skipped_clips"] > 0
    assert any("replaced by others" in message for message in caplog.messages)

    words = (f"weights={tmp_path / 'final.pt'}", *skip)
    assert detect("evaluate", world, tmp_path, *words) == 0  # on the proposals
    skipped = json.loads((tmp_path / "metrics.json").read_text())["skipped"]
    assert (skipped["keyframes"], skipped["boxes"], list(skipped["videos"])) == (count, 0, [cut])

    words = (*words, "evaluation.boxes=groundtruth")
    capsys.readouterr()
    assert detect("evaluate", world, tmp_path, *words) == 0
    assert "their people count as missed" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    people = read_annotations(world / "val.csv")
    lost = people[people["video_id"] == cut].drop_duplicates(["timestamp", "x1", "y1", "x2", "y2"])
    assert metrics["skipped"]["boxes"] == len(lost)
    assert metrics["skipped"]["keyframes"] == count
    assert list(metrics["skipped"]["videos"]) == [cut]
    assert metrics["videos"]["count"] == 2
    assert len(metrics["videos"]["fingerprint"]) == 64
    truth = sum(row["num_groundtruth"] for row in metrics["classes"])
    assert truth == len(people[people["action_id"] > 0].drop_duplicates())


@pytest.mark.parametrize("command", ["train-proposer", "propose", "train"])
def test_by_default_it_ends_the_run(
    world: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture
) -> None:
    whole, run = tmp_path / "world", tmp_path / "run"
    shutil.copytree(world, whole)
    shutil.copy(video_of(world, "train", 2), video_of(whole, "train", 1))
    if command == "propose":
        assert detect("train-proposer", world, run, "data.on_error=skip") == 0
    more = ("split=train", "proposer.train.steps=8", "optim.batch_size=8")
    assert detect(command, whole, run, *more) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: {video_of(whole, 'train', 0)}: expected a whole, readable")
