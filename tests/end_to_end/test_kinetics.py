"""Whole clips: trained on, tested with 30 views, and a detector that starts from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ava_detect import load_detector
from ava_detect.assemble import build_videos
from ava_detect.cli import main
from ava_detect.config import load_config
from ava_detect.data.kinetics_files import read_kinetics
from ava_detect.data.transforms import EvalTransform
from ava_detect.engine.checkpoint import load_checkpoint
from ava_detect.pretrained import load_model
from ava_detect.synthetic import make_world
from ava_eval import InputError, read_label_map

QUICK = (
    *("optim.steps=4", "optim.warmup_steps=1", "optim.batch_size=4", "save_every=2"),
    *("precision=float32", "augment.crop=[32,32]", "augment.short_side=[32,40]"),
    *("evaluation.short_side=32", "evaluate_every=2", "tensorboard=false"),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_world(
        folder,
        train_videos=2,
        val_videos=1,
        test_videos=0,
        train_clips=11,
        val_clips=6,
        seconds=4,
        workers=1,
    )
    return folder


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run")
    assert command("train", world, output) == 0
    return output


def command(name: str, world: Path, output: Path, *words: str) -> int:
    places = (f"data.root={world}", f"output={output}")
    return main([name, "demo/kinetics", *places, *QUICK, *words])


def test_a_run_is_measured_and_keeps_its_best(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evaluated = [line for line in lines if "val_top1" in line]
    assert [line["step"] for line in evaluated] == [2, 4]
    assert all(line["val_top1"] <= line["val_top5"] <= 1 for line in evaluated)
    best = load_checkpoint(run / "best.pt")
    assert best.meta["figures"]["top1"] == max(line["val_top1"] for line in evaluated)
    data = json.loads((run / "data.json").read_text())
    assert (data["clips"], data["videos"]) == (11, 11)


def test_the_score_is_the_mean_of_thirty_views(world: Path, run: Path) -> None:
    assert command("evaluate", world, run, f"weights={run / 'final.pt'}") == 0
    facts = json.loads((run / "metrics.json").read_text())
    predictions = pd.read_csv(run / "predictions.csv").set_index("video_id")
    assert facts["videos"] == len(predictions) == 6
    right = predictions["predicted_id"] == predictions["action_id"]
    assert facts["top1"] == pytest.approx(right.mean())
    assert sum(c["num_videos"] for c in facts["classes"]) == 6

    loaded = load_model(run / "final.pt")
    ids = loaded.label_map["action_id"].to_numpy()
    library = build_videos(load_config("demo/kinetics", [f"data.root={world}"]), "val")
    video_id = predictions.index[0]
    times = library.frame_times(video_id)  # 30 frames of 1/15 s; a clip has 16 of them
    views = []
    for clip in range(10):
        start = clip / 10 * (30 - 16) / 15
        frames = library.read(
            video_id, [np.abs(times - t).argmin() for t in start + np.arange(16) / 15]
        )
        view = EvalTransform(32)((160, 120), np.zeros((0, 4), np.float32))
        resized = np.empty((16, *view.size[::-1], 3), np.uint8)
        for frame, target in zip(frames, resized, strict=True):
            view.show(frame, target)
        for left in (0, 5, 10):  # 42 pixels wide
            crop = torch.from_numpy(resized[None, :, :, left : left + 32].copy())
            with torch.inference_mode():
                views.append(loaded.model.eval()(crop, torch.zeros(1, 5)).softmax(1)[0].numpy())
    mean = np.mean(views, axis=0)
    assert predictions.loc[video_id, "predicted_id"] == ids[mean.argmax()]
    assert predictions.loc[video_id, "score"] == pytest.approx(mean.max(), abs=1e-5)


def test_lists_of_paths_give_the_same_score(world: Path, run: Path, tmp_path: Path) -> None:
    assert command("evaluate", world, run, f"weights={run / 'final.pt'}") == 0
    labels = read_label_map(world / "labelmap.pbtxt")
    listed = read_kinetics(world / "kinetics_val.csv", labels)
    lines = [f"{v}.mp4 {a}" for v, a in listed.itertuples(index=False)]
    (tmp_path / "val.csv").write_text("\n".join(lines))
    words = (f"weights={run / 'final.pt'}", f"data.val.annotations=[{tmp_path / 'val.csv'}]")
    assert command("evaluate", world, tmp_path, *words) == 0
    same = (tmp_path / "predictions.csv").read_text().replace(".mp4", "")
    assert same == (run / "predictions.csv").read_text()


def test_wrong_weights_show_before_wrong_data(capsys) -> None:
    words = ["evaluate", "demo/kinetics", "data.root=nowhere", "weights=nowhere.pt"]
    assert main(words) == 2
    assert "error: nowhere.pt: " in capsys.readouterr().err


def test_videos_that_have_vanished(world: Path, run: Path, tmp_path: Path, capsys) -> None:
    there = tmp_path / "world"
    shutil.copytree(world, there)
    gone = read_kinetics(world / "kinetics_val.csv", read_label_map(world / "labelmap.pbtxt"))
    (there / "kinetics" / f"{gone.video_id[2]}.mp4").unlink()
    (there / "kinetics" / f"{gone.video_id[3]}.mp4").write_bytes(b"no film")
    weights = f"weights={run / 'final.pt'}"
    assert command("evaluate", there, tmp_path, weights) == 2
    assert f"{gone.video_id[2]!r}: no such video" in capsys.readouterr().err
    assert command("evaluate", there, tmp_path, weights, "data.on_error=skip") == 0
    facts = json.loads((tmp_path / "metrics.json").read_text())
    assert facts["videos"] == 4
    assert facts["missing"] == [gone.video_id[2]]
    assert list(facts["skipped"]["videos"]) == [gone.video_id[3]]
    assert "1 listed videos are missing" in capsys.readouterr().out


def test_a_detector_starts_from_the_backbone(world: Path, run: Path, tmp_path: Path) -> None:
    words = ["optim.steps=1", "optim.warmup_steps=0", "optim.lr=1e-9", "optim.weight_decay=0"]
    words += [f"data.root={world}", f"output={tmp_path}", f"weights={run / 'final.pt'}"]
    assert main(["train", "demo/ava", *words, "optim.batch_size=1", "tensorboard=false"]) == 0
    before = load_checkpoint(run / "final.pt").model
    after = load_checkpoint(tmp_path / "final.pt").model
    name = next(key for key in before if key.startswith("backbone.") and key.endswith("weight"))
    torch.testing.assert_close(after[name], before[name])
    assert after["head.classifier.weight"].shape[0] == 13
    with pytest.raises(InputError, match="classifies whole clips"):
        load_detector(run / "final.pt")
