"""`ava-detect prepare` from the command line: resumable, parallel, honest about what it left."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from ava_detect.cli import main
from ava_detect.clips.prepared import Manifest
from ava_detect.synthetic import make_world
from ava_eval import read_keyframes
from tests.forks import Forks
from tests.held import held

CLIPS = ("data.num_frames=4", "data.sampling_rate=1", "data.cache_gb=0")
QUICK = ("optim.steps=2", "optim.warmup_steps=1", "optim.batch_size=2", "precision=float32")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    folder = tmp_path / "world"
    make_world(
        folder,
        seed=7,
        train_videos=2,
        val_videos=1,
        test_videos=1,
        train_clips=0,
        val_clips=0,
        seconds=5,
        workers=1,
    )
    return folder


def prepare(world: Path, *words: str) -> int:
    settings = (f"data.root={world}", "data.prepared=copies", "prepare.workers=2", *CLIPS)
    return main(["prepare", "demo/ava", *settings, *words])


def copies(world: Path) -> dict[str, float]:
    """When each copy was last written."""
    return {path.name: path.stat().st_mtime_ns for path in (world / "copies").glob("[!.]*.mp4")}


@pytest.mark.parametrize("kind", ["video", "frames"])
def test_copies_train_and_evaluate_in_place_of_the_videos(
    world: Path, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert prepare(world, f"prepare.kind={kind}") == 0
    assert "4 copies made, 0 there already" in capsys.readouterr().out
    (world / "videos").rename(world / "elsewhere")
    prints = []
    for copy in ("copies", "copies", None):
        if copy is None:
            (world / "elsewhere").rename(world / "videos")
        run = [f"data.root={world}", f"output={tmp_path / 'run'}", *CLIPS, *QUICK]
        run += [f"data.prepared={copy or 'null'}"]
        if not prints:
            assert main(["train", "demo/ava", *run]) == 0
        words = [f"weights={tmp_path / 'run' / 'final.pt'}", "evaluation.boxes=groundtruth"]
        assert main(["evaluate", "demo/ava", *run, *words]) == 0
        metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
        prints.append(metrics["videos"]["fingerprint"])
    assert prints[0] == prints[1] != prints[2]


def test_it_keeps_what_is_there_and_makes_what_is_missing_or_changed(
    world: Path, capsys: pytest.CaptureFixture
) -> None:
    assert prepare(world) == 0
    first, ids = copies(world), sorted(copies(world))
    (world / "copies" / ids[0]).unlink()
    (world / "copies" / ids[1]).with_suffix(".frames.npz").unlink()
    (world / "copies" / ids[2]).write_bytes(b"what a broken disk left")
    assert prepare(world) == 0
    assert "3 copies made, 1 there already" in capsys.readouterr().out
    second = copies(world)
    assert [second[name] == first[name] for name in ids] == [False, False, False, True]
    assert prepare(world, "data.sampling_rate=2") == 0
    assert "4 copies made, 0 there already" in capsys.readouterr().out
    assert prepare(world, "data.sampling_rate=2") == 0
    assert "0 copies made, 4 there already" in capsys.readouterr().out


def test_a_killed_run_is_taken_up_again(
    world: Path, forks: Forks, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["prepare", "demo/ava", f"data.root={world}", "data.prepared=copies", *CLIPS]
    log = tmp_path / "log"
    job = forks.command(log, *words, "prepare.workers=1", "prepare.frames=all")
    while not list(world.glob("copies/[!.]*.mp4")):
        assert forks.poll(job) is None, log.read_text()
        time.sleep(0.01)
    os.killpg(job, signal.SIGKILL)
    assert forks.wait() == -signal.SIGKILL, log.read_text()
    whole = copies(world)
    assert whole
    for name in whole:
        assert Manifest.load(world / "copies" / f"{Path(name).stem}.frames.npz")
    assert prepare(world, "prepare.frames=all") == 0
    assert f"{4 - len(whole)} copies made, {len(whole)} there already" in capsys.readouterr().out
    assert not list((world / "copies").glob(".*partial*"))


def test_only_what_the_clips_show_is_kept(world: Path) -> None:
    assert prepare(world) == 0
    video_id, times = next(iter(read_keyframes(world / "val.csv").groupby("video_id")["timestamp"]))
    kept = Manifest.load(world / "copies" / f"{video_id}.frames.npz").kept
    offsets = np.arange(-2, 2)  # four frames at the video's own rate of 15
    wanted = np.unique(np.rint(times.to_numpy() * 15)[:, None] + offsets)
    np.testing.assert_array_equal(kept, wanted)


def test_a_bad_video_is_told_and_the_others_are_made(
    world: Path, capsys: pytest.CaptureFixture, caplog
) -> None:
    bad = sorted((world / "videos").iterdir())[1]
    bad.write_bytes(bad.read_bytes()[:2000])
    assert prepare(world) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: 1 of 4 videos cannot be prepared, the first: {bad}: ")
    assert len(copies(world)) == 3
    assert prepare(world, "data.on_error=skip") == 0
    assert "0 copies made, 3 there already, 1 failed" in capsys.readouterr().out
    assert list(json.loads((world / "copies" / "prepared.json").read_text())["failed"]) == [
        bad.stem
    ]


def test_reading_what_was_not_prepared_says_what_to_do(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = [f"data.root={world}", f"output={tmp_path / 'run'}", "data.prepared=copies", *QUICK]
    assert main(["train", "demo/ava", *run, *CLIPS]) == 2
    assert "run `ava-detect prepare` first" in capsys.readouterr().err
    assert prepare(world) == 0
    longer = ("data.num_frames=8", "data.sampling_rate=1", "data.cache_gb=0")
    assert main(["train", "demo/ava", *run, *longer]) == 2
    assert "is not in this prepared copy; run `ava-detect prepare` again" in capsys.readouterr().err


def test_the_kind_may_change_and_the_folder_lie_among_the_videos(
    world: Path, capsys: pytest.CaptureFixture
) -> None:
    among = [f"data.{split}.videos=[.]" for split in ("train", "val", "test")]
    for kind in ("video", "frames", "frames", "video"):
        assert prepare(world, *among, f"prepare.kind={kind}") == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    made = [line.split(": ")[1].split(" copies")[0] for line in out.splitlines() if "made" in line]
    assert made == ["4", "4", "0", "4"]
    inner = world / "copies" / "videos"
    assert sorted(path.suffix for path in inner.iterdir()) == [".mp4"] * 4 + [".npz"] * 4


def test_a_copy_without_its_manifest_is_no_video(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert prepare(world) == 0
    for path in (world / "copies").glob("*.frames.npz"):
        path.unlink()
    run = [f"data.root={world}", f"output={tmp_path / 'run'}", "data.prepared=copies", *QUICK]
    assert main(["train", "demo/ava", *run, *CLIPS]) == 2
    assert "frames.npz: expected what `ava-detect prepare` wrote" in capsys.readouterr().err


def test_keyframes_that_are_excluded_or_outside_spoil_no_video(
    world: Path, capsys: pytest.CaptureFixture
) -> None:
    with (world / "train.csv").open("a") as file:
        row = (world / "train.csv").read_text().splitlines()[-1].split(",")
        file.write(",".join([row[0], "0099", *row[2:]]) + "\n")
    assert prepare(world) == 2
    assert "the keyframe at 99 s lies outside" in capsys.readouterr().err
    assert prepare(world, "data.on_error=skip") == 0
    assert "1 copies made, 3 there already; " in capsys.readouterr().out
    with (world / "train_excluded.csv").open("a") as file:
        file.write(f"{row[0]},0099\n")
    assert prepare(world) == 0
    assert "0 copies made, 4 there already" in capsys.readouterr().out


def test_two_runs_do_not_work_on_one_folder(world: Path, capsys: pytest.CaptureFixture) -> None:
    (world / "copies").mkdir()
    with held(world / "copies" / ".prepare.lock"):
        assert prepare(world) == 2
    assert "another `ava-detect prepare` is at work here" in capsys.readouterr().err
    assert prepare(world) == 0


def test_a_video_in_a_folder_named_like_another_is_refused(
    world: Path, capsys: pytest.CaptureFixture
) -> None:
    first = sorted((world / "videos").iterdir())[0]
    inner = world / "videos" / first.stem / "inner.mp4"
    inner.parent.mkdir()
    inner.hardlink_to(first)
    with (world / "val.csv").open("a") as file:
        file.write("inner,0002\n")
    assert prepare(world, "prepare.kind=frames") == 2
    assert "lies in a folder that has the name of another video" in capsys.readouterr().err
