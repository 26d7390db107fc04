"""From a small world to a challenge file, through the commands as a user types them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ava_detect import load_detector
from ava_detect.cli import main
from ava_detect.synthetic import make_world
from ava_eval import read_annotations, read_detections
from ava_eval.cli import main as score_main
from tests.forks import Forks
from tests.small import SMALL_MODEL

STEPS = 6
QUICK = (
    *SMALL_MODEL,
    f"optim.steps={STEPS}",
    "optim.warmup_steps=2",
    "optim.batch_size=2",
    "save_every=2",
    "evaluation.min_score=0",
    "proposer.train.steps=3",
    "proposer.train.batch_size=2",
    "proposer.min_score=0.01",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_world(
        folder,
        seed=3,
        train_videos=3,
        val_videos=2,
        test_videos=1,
        train_clips=0,
        val_clips=0,
        seconds=5,
        workers=1,
    )
    return folder


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run that was trained and proposed for."""
    output = tmp_path_factory.mktemp("run")
    for command in ("train-proposer", "propose", "train"):
        assert detect(command, world, output) == 0
    assert detect("propose", world, output, "split=test") == 0
    return output


def detect(command: str, world: Path, output: Path, *words: str) -> int:
    return main([command, "demo/ava", f"data.root={world}", f"output={output}", *QUICK, *words])


@pytest.mark.parametrize("boxes", ["proposals", "groundtruth"])
def test_the_written_file_scores_what_evaluate_printed(
    world: Path, run: Path, boxes: str, capsys: pytest.CaptureFixture
) -> None:
    words = [f"weights={run / 'final.pt'}", f"evaluation.boxes={boxes}"]
    assert detect("evaluate", world, run, *words) == 0
    printed = capsys.readouterr().out
    mean = json.loads((run / "metrics.json").read_text())["mAP"]
    assert f"{mean:.4f}" in printed
    scored = run / "scored.json"
    files = ["-g", world / "val.csv", "-d", run / "detections.csv", "-l", world / "labelmap.pbtxt"]
    assert score_main(["score", *map(str, files), "--json", str(scored)]) == 0
    assert json.loads(scored.read_text())["mAP"] == pytest.approx(mean, abs=1e-12)


def test_every_scored_box_has_every_class_once(world: Path, run: Path) -> None:
    assert (
        detect(
            "evaluate", world, run, f"weights={run / 'final.pt'}", "evaluation.boxes=groundtruth"
        )
        == 0
    )
    detections = read_detections(run / "detections.csv")
    people = read_annotations(world / "val.csv")[["video_id", "timestamp", "x1", "y1", "x2", "y2"]]
    keys = ["video_id", "timestamp", "x1", "y1", "x2", "y2"]
    assert len(detections) == 13 * len(people.drop_duplicates())
    assert not detections.duplicated([*keys, "action_id"]).any()
    assert len(detections[keys].merge(people.drop_duplicates())) == len(detections)


def test_an_unlabelled_split_is_not_evaluated(
    world: Path, run: Path, capsys: pytest.CaptureFixture
) -> None:
    assert detect("evaluate", world, run, f"weights={run / 'final.pt'}", "split=test") == 2
    assert "error: split: test has no annotations" in capsys.readouterr().err


def test_the_export_of_the_unlabelled_split_is_a_valid_file(world: Path, run: Path) -> None:
    target = run / "submission.csv"
    words = [f"weights={run / 'final.pt'}", "-o", str(target), "split=test"]
    assert detect("export", world, run, *words) == 0
    rows = read_detections(target)
    assert len(rows)
    assert rows.groupby(["video_id", "timestamp"]).size().max() <= 50
    assert (rows[["x1", "y1"]] >= 0).all(axis=None)
    assert (rows[["x2", "y2"]] <= 1).all(axis=None)
    excluded = (world / "test_excluded.csv").read_text().split()
    assert not {f"{r.video_id},{int(r.timestamp):04d}" for r in rows.itertuples()} & set(excluded)


def test_the_python_face_scores_people(run: Path) -> None:
    detector = load_detector(run / "final.pt", precision="float32")
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (16, 120, 160, 3), dtype=np.uint8)
    boxes = np.array([[10, 10, 60, 100], [80, 20, 150, 110]], np.float32)
    scores = detector.predict(clip, boxes)
    assert scores.shape == (2, 13)
    assert ((scores >= 0) & (scores <= 1)).all()
    alone = detector.predict(clip, boxes[1:])
    np.testing.assert_allclose(alone, scores[1:], atol=1e-5)


def test_training_on_labelled_proposals(world: Path, run: Path, tmp_path: Path) -> None:
    """Proposals that are the annotated people themselves inherit their labels."""
    people = read_annotations(world / "train.csv")
    boxes = people.drop_duplicates(["video_id", "timestamp", "x1", "y1", "x2", "y2"])
    lines = [
        f"{r.video_id},{int(r.timestamp):04d},{r.x1},{r.y1},{r.x2},{r.y2},,0.95"
        for r in boxes.itertuples()
    ]
    published = tmp_path / "boxes.csv"
    published.write_text("\n".join(lines) + "\n")
    words = [f"data.train.proposals={published}", "train_boxes.proposals=true", "optim.steps=2"]
    words += ["train_boxes.negatives=true", "optim.ema=0.9"]
    assert (
        main(
            [
                "train",
                "demo/ava",
                f"data.root={world}",
                f"output={tmp_path / 'run'}",
                *QUICK,
                *words,
            ]
        )
        == 0
    )


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGINT, id="SIGINT", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, id="kill -9"),
    ],
)
def test_an_interrupted_run_ends_where_an_undisturbed_one_does(
    world: Path, run: Path, forks: Forks, tmp_path: Path, how: signal.Signals
) -> None:
    log = tmp_path.with_suffix(".log")
    words = ["train", "demo/ava", f"data.root={world}", f"output={tmp_path}", *QUICK]
    job = forks.command(log, *words)
    while not list(tmp_path.glob("step-*.pt")):
        assert forks.poll(job) is None, log.read_text()
        time.sleep(0.02)
    os.kill(job, how)
    assert forks.wait() == (-signal.SIGKILL if how == signal.SIGKILL else 130), log.read_text()
    assert not (tmp_path / "final.pt").exists()
    forks.command(log, *words)
    assert forks.wait() == 0, log.read_text()
    resumed, straight = (
        torch.load(folder / "final.pt", weights_only=True) for folder in (tmp_path, run)
    )
    assert resumed["step"] == straight["step"] == STEPS
    for key, value in straight["model"].items():
        torch.testing.assert_close(resumed["model"][key], value, rtol=0, atol=0, msg=key)
    logged = pd.read_json(tmp_path / "metrics.jsonl", lines=True)
    assert logged["step"].is_monotonic_increasing
    assert logged["step"].iloc[-1] == STEPS


def test_a_finished_run_is_left_alone_and_another_is_refused(
    world: Path, run: Path, capsys: pytest.CaptureFixture
) -> None:
    before = (run / "final.pt").read_bytes()
    assert detect("train", world, run) == 0
    assert (run / "final.pt").read_bytes() == before
    assert detect("train", world, run, "optim.lr=0.5") == 2
    told = capsys.readouterr().err
    assert "error: optim.lr:" in told
    assert "checkpoints (*.pt)" in told


def test_a_run_begins_anew_once_its_checkpoints_are_removed(
    world: Path, run: Path, tmp_path: Path
) -> None:
    """As the error of a run with other settings advises; the boxes stay."""
    shutil.copytree(run, tmp_path / "run")
    for path in (tmp_path / "run").glob("*.pt"):
        path.unlink()
    assert detect("train", world, tmp_path / "run", "optim.lr=0.5") == 0
    logged = pd.read_json(tmp_path / "run" / "metrics.jsonl", lines=True)
    assert logged["step"].is_unique
    assert "lr: 0.5" in (tmp_path / "run" / "config.yaml").read_text()
    assert (tmp_path / "run" / "proposals_val.csv").is_file()
