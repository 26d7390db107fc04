"""Each mistake of a user is one line on standard error and exit code 2, and writes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from ava_detect.cli import main
from ava_detect.synthetic import make_world


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine")
    make_world(
        folder,
        train_videos=2,
        val_videos=1,
        test_videos=1,
        train_clips=0,
        val_clips=0,
        seconds=4,
        workers=1,
    )
    return folder


@pytest.fixture
def world(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "world"))


def fail(capsys: pytest.CaptureFixture, command: str, *words: str) -> str:
    """The one line of a command that must end with exit code 2."""
    assert main([command, *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("error: ") for line in lines].index(True) == len(lines) - 1
    return lines[-1]


def train(capsys: pytest.CaptureFixture, world: Path, *words: str) -> str:
    output = world.parent / "run"
    settings = [f"data.root={world}", f"output={output}", "optim.steps=4", "optim.batch_size=2"]
    line = fail(capsys, "train", "demo/ava", *settings, *words)
    assert not list(output.glob("*.pt"))
    return line


def labelled_rows(world: Path) -> list[list[str]]:
    """The rows of train.csv that show a person, as cells."""
    rows = [line.split(",") for line in (world / "train.csv").read_text().splitlines()]
    return [row for row in rows if len(row) > 2]


@pytest.mark.parametrize(
    ("cell", "value", "expected"),
    [
        (1, "soon", ["timestamp", "a number", "'soon'"]),
        (2, "wide", ["x1", "a number", "'wide'"]),
        (4, "1.2", ["x2", "[0, 1]"]),
        (6, "walk", ["action_id", "a whole number", "'walk'"]),
        (6, "2", ["action_id", "label map"]),
        (7, "1,1", ["2, 7 or 8 columns", "9 columns"]),
    ],
)
def test_a_broken_row_is_named(
    world: Path, capsys: pytest.CaptureFixture, cell: int, value: str, expected: list[str]
) -> None:
    rows = labelled_rows(world)
    rows[2][cell] = value
    (world / "train.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
    line = train(capsys, world)
    assert f"{world / 'train.csv'}:3" in line
    for word in expected:
        assert word in line


def test_a_missing_video(world: Path, capsys: pytest.CaptureFixture) -> None:
    video_id = labelled_rows(world)[0][0]
    (world / "videos" / f"{video_id}.mp4").unlink()
    line = train(capsys, world)
    assert repr(video_id) in line
    assert str(world / "videos") in line


@pytest.mark.parametrize("workers", [0, 1])
def test_a_video_that_cannot_be_decoded(
    world: Path, capsys: pytest.CaptureFixture, workers: int
) -> None:
    video_id = labelled_rows(world)[0][0]
    (world / "videos" / f"{video_id}.mp4").write_bytes(b"this is no video" * 100)
    assert f"{video_id}.mp4" in train(capsys, world, f"data.workers={workers}")


def test_an_unknown_setting(world: Path, capsys: pytest.CaptureFixture) -> None:
    assert "did you mean 'optim.steps'?" in train(capsys, world, "optim.stps=3")


def test_weights_of_another_shape(world: Path, capsys: pytest.CaptureFixture) -> None:
    output = world.parent / "run"
    words = ["demo/ava", f"data.root={world}", f"output={output}", "optim.steps=1"]
    assert main(["train", *words, "optim.batch_size=1", "optim.warmup_steps=0"]) == 0
    capsys.readouterr()
    final = output / "final.pt"
    words += [f"weights={final}", "evaluation.boxes=groundtruth"]
    line = fail(capsys, "evaluate", *words, "model.widths=[32, 32, 32, 32]")
    assert str(final) in line
    assert "backbone.laterals.0.conv.weight: the model has (16, 8, 5, 1, 1)" in line
    assert "the file (32, 16, 5, 1, 1)" in line
    torch.save({"anything": 1}, final)
    assert str(final) in fail(capsys, "evaluate", *words)


@pytest.mark.parametrize(
    ("command", "words", "expected"),
    [
        ("evaluate", [], "weights: expected weights=FILE"),
        ("evaluate", ["weights=nowhere.pt"], "nowhere.pt"),
        ("evaluate", ["weights=nowhere.pt", "data.root=nowhere"], "nowhere.pt"),
        ("export", ["-o", "x.csv", "weights=nowhere.pt", "data.root=nowhere"], "nowhere.pt"),
        ("train", ["data.train.annotations=[]"], "data.train: expected annotations or keyframes"),
        ("train", ["data.train.annotations=[nowhere.csv]"], "nowhere.csv"),
        ("train", ["data.label_map=nowhere.pbtxt"], "nowhere.pbtxt"),
        ("train", ["data.train.videos=nowhere"], "nowhere"),
        ("train", ["device=gpu7"], "device: cannot use 'gpu7'"),
        ("train", ["train_boxes.proposals=true"], "run `ava-detect propose` with split=train"),
        ("train", ["data.timebase.start=900"], "lies outside"),
        ("train-proposer", ["data.timebase.start=900"], "lies outside"),
        ("propose", [], "run `ava-detect train-proposer` first"),
        ("propose", ["proposer.weights=nowhere.pth"], "proposer.weights: nowhere.pth"),
        ("train", ["weights=nowhere.pt"], "nowhere.pt"),
        (
            "train",
            ["model.fusion_kernel=4"],
            "model.fusion_kernel=4: Input should be an odd number",
        ),
        ("train", ["augment.short_side=[9, 8]"], "short_side=[9, 8]: Input should be a range"),
        ("train", ["optim.steps.more=3"], "optim.steps: expected one value"),
    ],
)
def test_other_mistakes(
    pristine: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    command: str,
    words: list[str],
    expected: str,
) -> None:
    settings = [f"data.root={pristine}", f"output={tmp_path}", "optim.steps=4"]
    line = fail(capsys, command, "demo/ava", *settings, *words)
    assert expected in line


@pytest.mark.parametrize("command", ["train-proposer", "propose", "train", "evaluate", "export"])
def test_an_output_that_cannot_be_written_is_told_first(
    pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture, command: str
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    words = ["demo/ava", f"data.root={pristine}", f"output={blocked / 'run'}", "weights=none.pt"]
    words += ["-o", str(blocked / "out.csv")] if command == "export" else []
    assert str(blocked) in fail(capsys, command, *words)
    assert blocked.read_text() == "in the way"


def test_other_classes_of_the_same_number(
    world: Path, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """The order of the label map is the order of the classifier's columns."""
    output = world.parent / "run"
    words = ["demo/ava", f"data.root={world}", f"output={output}", "optim.steps=1"]
    words += ["optim.batch_size=1", "optim.warmup_steps=0", "data.label_map=labelmap.pbtxt"]
    assert main(["train", *words]) == 0
    capsys.readouterr()
    items = (world / "labelmap.pbtxt").read_text().split("item ")[1:]
    (world / "labelmap.pbtxt").write_text("".join(f"item {item}" for item in reversed(items)))
    assert "data.label_map" in fail(capsys, "train", *words)
    words[2] = f"output={world.parent / 'other'}"  # another run may start from it, with a new head
    caplog.set_level("INFO")
    assert main(["train", *words, f"weights={output / 'final.pt'}"]) == 0
    assert "2 new: head.classifier.weight, head.classifier.bias" in caplog.text


def test_a_score_under_other_settings_is_warned_of(
    world: Path, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    output = world.parent / "run"
    words = ["demo/ava", f"data.root={world}", f"output={output}", "optim.steps=1"]
    assert main(["train", *words, "optim.batch_size=1", "optim.warmup_steps=0"]) == 0
    words += [f"weights={output / 'final.pt'}", "evaluation.boxes=groundtruth"]
    assert main(["evaluate", *words]) == 0
    assert "warning" not in caplog.text
    assert main(["evaluate", *words, "data.sampling_rate=2"]) == 0
    assert "data.sampling_rate is 2 here" in caplog.text
