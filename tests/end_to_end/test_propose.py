"""`propose` that is killed, spread over processes or stopped by an error writes the same file."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from ava_detect.assemble import build_originals, load_split
from ava_detect.cli import main
from ava_detect.commands import propose as command
from ava_detect.commands.people import load_proposals
from ava_detect.config import load_config
from ava_detect.proposals.files import file_digest, read_proposals
from ava_detect.proposals.proposer import Proposer
from ava_detect.proposals.torchvision_rcnn import build_faster_rcnn, save_weights
from ava_detect.synthetic import make_world
from ava_eval import read_keyframes
from tests.forks import ROOT, Forks
from tests.held import held

NAME = "proposals_val.csv"
SETTINGS = (
    "device=cpu",
    "proposer.batch_size=2",
    "proposer.min_score=0.01",
    "proposer.short_side=80",
)


def slowly(*case: object) -> object:
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three validation videos, and an untrained detector, which finds people everywhere."""
    folder = tmp_path_factory.mktemp("world")
    sizes = {"train_videos": 1, "val_videos": 3, "test_videos": 0, "train_clips": 0, "val_clips": 0}
    make_world(folder, seed=3, seconds=8, workers=1, **sizes)
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_weights(build_faster_rcnn("small"), "small", folder / f"detector{seed}.pth")
    return folder


@pytest.fixture(scope="module")
def num_keyframes(world: Path) -> int:
    return len(keyframes_of(world))


def keyframes_of(world: Path) -> pd.DataFrame:
    config = load_config("demo/ava", [f"data.root={world}"])
    return load_split(config, "val", build_originals(config, "val")).keyframes


def num_batches(world: Path) -> int:
    return sum(-(-size // 2) for size in keyframes_of(world).groupby("video_id").size())


def words_of(world: Path, run: Path, *more: str) -> list[str]:
    words = ["propose", "demo/ava", f"data.root={world}", f"output={run}", *SETTINGS]
    return [*words, f"proposer.weights={world / 'detector0.pth'}", *more]


@pytest.fixture(scope="module")
def begin(world: Path, forks: Forks) -> Callable[[Path], int]:
    """Start the command in a process of its own; it speaks to FOLDER.log."""
    return lambda run: forks.command(run.with_suffix(".log"), *words_of(world, run))


@pytest.fixture(scope="module")
def straight(begin, forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbs; `seconds` in it is how long it took."""
    run = tmp_path_factory.mktemp("straight") / "run"
    begun = time.monotonic()
    begin(run)
    assert forks.wait() == 0, log_of(run)
    (run / "seconds").write_text(str(time.monotonic() - begun))
    rows = (run / NAME).read_text().splitlines()
    assert len({row.split(",")[0] for row in rows}) == 3  # of all videos
    return run


def log_of(run: Path) -> str:
    return run.with_suffix(".log").read_text()


def journals_of(run: Path) -> list[list[dict]]:
    """The batches of each process and start."""
    files = [
        path.read_text().splitlines(keepends=True) for path in (run / f"{NAME}.part").glob("*")
    ]
    return [[json.loads(line) for line in lines[1:] if line.endswith("\n")] for lines in files]


def batches_of(run: Path) -> list[tuple[str, tuple[float, ...]]]:
    return [(line["video"], tuple(line["times"])) for file in journals_of(run) for line in file]


def num_lines(run: Path) -> int:
    """Lines in the journal; quick, for it is asked all the time."""
    try:
        return sum(path.read_bytes().count(b"\n") for path in (run / f"{NAME}.part").glob("*"))
    except FileNotFoundError:  # it is being removed
        return 0


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.003)


def assert_same_files(run: Path, other: Path) -> None:
    """The boxes and what stands beside them, byte for byte; nothing is left of the journal."""
    for name in (NAME, f"{NAME}.json"):
        assert (run / name).read_bytes() == (other / name).read_bytes()
    assert not (run / f"{NAME}.part").exists()


@pytest.mark.parametrize("kills", [3, slowly(20)])
def test_a_run_killed_at_random_moments_ends_as_if_it_had_not(
    kills: int, straight: Path, begin, forks: Forks, num_keyframes: int, tmp_path: Path, capsys
) -> None:
    rng, found = random.Random(kills), []
    duration = float((straight / "seconds").read_text())

    def kill(run: Path, number: int) -> None:
        """Begin, or go on, and kill at some line of the journal, or at some time."""
        job, before = begin(run), num_lines(run)
        if number % 3 < 2:
            wanted = before + 1 + rng.randint(1, num_keyframes // 3)  # a start has its own first
            wait_until(lambda: num_lines(run) >= wanted or (run / NAME).exists())
        else:
            time.sleep(duration * rng.uniform(0.1, 1.1))
        os.kill(job, signal.SIGKILL)
        assert forks.wait() in (-signal.SIGKILL, 0), log_of(run)

    for number in range(kills):
        run = tmp_path / str(number)
        kill(run, number)
        if number % 2:
            kill(run, number)
        batches = batches_of(run)
        assert len(set(batches)) == len(batches)  # none was done twice
        found.append(sum(len(times) for _, times in batches))
        begin(run)
        assert forks.wait() == 0, log_of(run)
        assert_same_files(run, straight)
        assert "Traceback" not in log_of(run)
        told = f"going on: {found[-1]} of {num_keyframes} keyframes are done already"
        assert (told in log_of(run)) == (found[-1] > 0)
    with capsys.disabled():
        print(f"resumed after keyframes {sorted(found)} of {num_keyframes}", end="")
    assert any(0 < count < num_keyframes for count in found)


def torchrun(world: Path, run: Path, *more: str) -> subprocess.Popen:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1"]
    launcher += [f"--master-port={port}", "-m", "ava_detect"]
    with run.with_suffix(".log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, *launcher, *words_of(world, run, *more)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def children_of(parent: int) -> list[int]:
    line = f"\nPPid:\t{parent}\n"
    statuses = Path("/proc").glob("[0-9]*/status")
    return [int(path.parent.name) for path in statuses if line in path.read_text()]


@pytest.mark.slow
def test_two_processes_write_what_one_does(straight: Path, world: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert torchrun(world, run).wait(120) == 0, log_of(run)
    assert_same_files(run, straight)
    assert log_of(run).count(f"{NAME}: ") == 1  # one speaks


@pytest.mark.slow
def test_an_error_of_one_process_ends_both(world: Path, tmp_path: Path) -> None:
    own, run = tmp_path / "world", tmp_path / "run"
    shutil.copytree(world, own)
    last = keyframes_of(world)["video_id"].iloc[-1]  # of the second process
    path = own / "videos" / f"{last}.mp4"
    path.write_bytes(path.read_bytes()[:1000])
    assert torchrun(world, run, f"data.root={own}").wait(120) == 1
    assert f"process 1: error: {path}: " in log_of(run)


@pytest.mark.slow
def test_one_process_goes_on_where_two_were_killed(
    straight: Path, world: Path, begin, forks: Forks, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    launcher = torchrun(world, run)
    wait_until(lambda: len(journals_of(run)) == 2 and all(map(len, journals_of(run))))
    for victim in [launcher.pid, *children_of(launcher.pid)]:
        os.kill(victim, signal.SIGKILL)
    assert launcher.wait(20) == -signal.SIGKILL, log_of(run)
    first, second = journals_of(run)
    assert first
    assert second
    assert len(set(batches_of(run))) == len(first) + len(second)
    begin(run)
    assert forks.wait() == 0, log_of(run)
    assert_same_files(run, straight)
    assert "keyframes are done already" in log_of(run)


class Stopping:
    """A proposer that counts its batches and ends the run after some."""

    def __init__(self, proposer: Proposer, batches: int) -> None:
        self.name, self.facts, self.proposer = proposer.name, proposer.facts, proposer
        self.left, self.done = batches, 0

    def propose(self, images):
        if self.done == self.left:
            raise KeyboardInterrupt
        self.done += 1
        return self.proposer.propose(images)


@pytest.fixture
def detect(world: Path, monkeypatch) -> Callable[..., tuple[int, int]]:
    """Run the command here, up to so many batches; its exit code, and how many it has done."""
    build = command.build_proposer

    def detect(run: Path, *more: str, batches: int = 10**6) -> tuple[int, int]:
        made: list[Stopping] = []

        def build_stopping(config):
            made.append(Stopping(build(config), batches))
            return made[0]

        monkeypatch.setattr(command, "build_proposer", build_stopping)
        code = main(words_of(world, run, *more))
        return code, made[0].done

    return detect


def test_every_batch_is_done_once(detect, straight: Path, world: Path, tmp_path: Path) -> None:
    counts = []
    for batches in (3, 1, 0, 10**6):
        code, done = detect(tmp_path, batches=batches)
        assert code == (130 if batches < 10**6 else 0)
        counts.append(done)
    assert counts[:3] == [3, 1, 0]
    assert sum(counts) == num_batches(world)
    assert_same_files(tmp_path, straight)


def test_a_journal_of_other_settings_waits_and_is_told(
    detect, straight: Path, tmp_path: Path, caplog
) -> None:
    assert detect(tmp_path, "proposer.max_boxes=3", batches=3) == (130, 3)
    assert detect(tmp_path)[0] == 0
    (message,) = [text for text in caplog.messages if "is not used" in text]
    assert message.endswith("differs: max_boxes 3, now 10")
    assert_same_files(tmp_path, straight)


def test_a_journal_waits_for_its_settings_to_come_back(detect, world: Path, tmp_path: Path) -> None:
    assert detect(tmp_path, "proposer.max_boxes=3", batches=3) == (130, 3)
    assert detect(tmp_path, batches=1) == (130, 1)
    assert detect(tmp_path, "proposer.max_boxes=3") == (0, num_batches(world) - 3)
    assert not (tmp_path / f"{NAME}.part").exists()


def test_a_kill_between_the_two_files_costs_nothing(
    detect, straight: Path, tmp_path: Path, monkeypatch
) -> None:
    def write_half(boxes, path, _):
        write(boxes, path, {})
        path.with_name(f"{NAME}.json").unlink()
        raise KeyboardInterrupt

    write = command.write_proposals
    monkeypatch.setattr(command, "write_proposals", write_half)
    assert detect(tmp_path)[0] == 130
    monkeypatch.setattr(command, "write_proposals", write)
    assert detect(tmp_path) == (0, 0)
    assert_same_files(tmp_path, straight)


def test_two_runs_do_not_meet(world: Path, tmp_path: Path, capsys) -> None:
    with held(tmp_path / ".propose split=val.lock"):
        assert main(words_of(world, tmp_path)) == 2
    told = "another `ava-detect propose split=val` is at work here"
    assert told in capsys.readouterr().err


def test_a_bad_video_costs_the_others_nothing(
    detect, straight: Path, world: Path, tmp_path: Path, caplog, capsys
) -> None:
    """A run that it has ended goes on by skipping it, or with a whole copy of it."""
    own = tmp_path / "world"
    shutil.copytree(world, own)
    ids = read_keyframes(world / "val.csv")["video_id"].unique()
    path = own / "videos" / f"{ids[1]}.mp4"
    path.write_bytes(path.read_bytes()[:1000])
    run, root = tmp_path / "run", f"data.root={own}"
    code, first = detect(run, root)
    assert code == 2
    assert f"error: {path}: " in capsys.readouterr().err
    assert first > 1

    code, rest = detect(run, root, "data.on_error=skip", batches=1)
    assert (code, rest) == (130, 1)
    shutil.copytree(run, tmp_path / "mended")
    assert detect(run, root, "data.on_error=skip")[0] == 0
    assert len([text for text in caplog.messages if "skipped: " in text]) == 2  # once a run
    skipped = json.loads((run / f"{NAME}.json").read_text())["skipped_keyframes"]
    assert list(skipped) == [ids[1]]
    boxes = (straight / NAME).read_text().splitlines(keepends=True)
    wanted = [row for row in boxes if not row.startswith(f"{ids[1]},")]
    assert (run / NAME).read_text() == "".join(wanted)

    shutil.copy(world / "videos" / path.name, path)
    code, last = detect(tmp_path / "mended", root, "data.on_error=skip")
    assert code == 0
    assert last < num_batches(world) - first
    assert_same_files(tmp_path / "mended", straight)


@pytest.fixture
def warnings_of(world: Path, straight: Path, tmp_path: Path, caplog) -> Callable[..., list[str]]:
    """What is warned of when the boxes of the undisturbed run are loaded with other settings."""
    shutil.copy(straight / NAME, tmp_path)
    shutil.copy(straight / f"{NAME}.json", tmp_path)

    def warnings_of(*more: str) -> list[str]:
        config = load_config("demo/ava", words_of(world, tmp_path, *more)[2:])
        data = load_split(config, "val", build_originals(config, "val"))
        caplog.clear()
        assert len(load_proposals(config, "val", data.keyframes))
        return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]

    return warnings_of


def test_boxes_that_propose_would_not_write_now_are_told(
    warnings_of, world: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more.csv"
    video_id = read_keyframes(world / "val.csv")["video_id"].iloc[0]
    more.write_text(f"{video_id},0001.25\n")
    for setting, told in (
        ("proposer.min_score=0.3", "min_score 0.01, now 0.3;"),
        ("proposer.short_side=200", "short_side 80, now 200;"),
        ("proposer.kind=detectron2", "detector torchvision small, now detectron2 "),
        (f"proposer.weights={world / 'detector1.pth'}", "weights "),
        (f"data.val.keyframes={more}", f"keyframes of 1 videos ({video_id}) are missing;"),
    ):
        (warning,) = warnings_of(setting)
        assert f"{NAME} is not what `ava-detect propose` would write now: {told}" in warning
        assert warning.endswith("; run it again with split=val")
        assert warning.count(", now ") <= 1


@pytest.mark.parametrize(
    "setting",
    [
        "seed=0",  # nothing has changed
        "proposer.batch_size=3",
        "proposer.weights=null",  # none was trained here
        "proposer.weights=/nowhere.pth",
    ],
)
def test_boxes_are_good_without_the_detector(warnings_of, setting: str) -> None:
    assert warnings_of(setting) == []


@pytest.mark.parametrize("weights", ["null", "/nowhere.pth"])
def test_what_changed_is_told_without_the_detector(
    warnings_of, world: Path, tmp_path: Path, weights: str
) -> None:
    more = tmp_path / "more.csv"
    video_id = read_keyframes(world / "val.csv")["video_id"].iloc[0]
    more.write_text(f"{video_id},0001.25\n")
    (warning,) = warnings_of(
        f"proposer.weights={weights}", f"data.val.keyframes={more}", "proposer.short_side=200"
    )
    assert "short_side 80, now 200; keyframes of 1 videos" in warning


def test_a_named_file_is_trusted(warnings_of, tmp_path: Path) -> None:
    assert warnings_of("proposer.min_score=0.3", f"data.val.proposals={tmp_path / NAME}") == []


def test_boxes_tell_which_weights_they_are_of(straight: Path, world: Path) -> None:
    facts = json.loads((straight / f"{NAME}.json").read_text())
    assert facts["detector"] == "torchvision small"
    assert facts["weights"] == file_digest(world / "detector0.pth")


def test_a_report_tells_its_boxes_and_is_named_after_them(
    straight: Path, world: Path, tmp_path: Path, capsys, caplog
) -> None:
    report = json.loads((straight / "proposals_val_report.json").read_text())
    assert report["file"] == str(straight / NAME)
    assert report["sha256"] == file_digest(straight / NAME)
    named = tmp_path / "published.csv"
    shutil.copy(straight / NAME, named)
    words = ["report-proposals", *words_of(world, tmp_path / "run")[1:]]
    assert main([*words, f"data.val.proposals={named}", "proposer.min_score=0.3"]) == 0
    files = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert files == ["published_report.json", "published_report.png"]
    other = json.loads((tmp_path / "run" / files[0]).read_text())
    assert other == report | {"file": str(named)}
    assert "published_report.json, " in capsys.readouterr().out
    assert not [text for text in caplog.messages if "would write now" in text]


def test_a_report_on_boxes_of_other_settings_warns(
    straight: Path, world: Path, tmp_path: Path, caplog
) -> None:
    for name in (NAME, f"{NAME}.json"):
        shutil.copy(straight / name, tmp_path)
    words = ["report-proposals", *words_of(world, tmp_path)[1:]]
    assert main([*words, "proposer.min_score=0.3"]) == 0
    (warning,) = [text for text in caplog.messages if "would write now" in text]
    assert "min_score 0.01, now 0.3; run it again with split=val" in warning


def test_pictures_of_other_boxes_do_not_stay(detect, world: Path, tmp_path: Path, capsys) -> None:
    old = [tmp_path / f"proposals_val{end}" for end in ("_report.json", "_report.png", ".jpg")]
    for path in old:
        path.write_text("old")
    empty = tmp_path / "none.csv"
    empty.touch()
    keyframes = tmp_path / "keyframes.csv"
    video_id = read_keyframes(world / "val.csv")["video_id"].iloc[0]
    keyframes.write_text(f"{video_id},0001\n")
    nobody = ("data.val.annotations=[]", "data.val.excluded=null")
    assert detect(tmp_path, *nobody, f"data.val.keyframes={keyframes}")[0] == 0
    assert [path.exists() for path in old] == [False, False, True]
    assert old[2].read_bytes()[:2] == b"\xff\xd8"  # a new picture
    out = capsys.readouterr().out
    assert [str(path) in out for path in old] == [False, False, True]


def train_words(world: Path, run: Path, *more: str) -> list[str]:
    words = ["train-proposer", *words_of(world, run)[1:], "proposer.train.steps=1"]
    return [*words, "proposer.train.batch_size=1", *more]


def test_two_trainings_of_a_detector_do_not_meet(world: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    assert main(train_words(world, run)) == 0
    before = (run / "proposer_torchvision.pth").read_bytes()
    with held(run / ".train-proposer.lock"):
        assert main(train_words(world, run, "seed=3")) == 2
    assert "another `ava-detect train-proposer` is at work here" in capsys.readouterr().err
    assert (run / "proposer_torchvision.pth").read_bytes() == before


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("proposer.train.evaluate_every=1", "only proposer.kind=detectron2 evaluates"),
        ("precision=float16", "float16 needs gradients to be scaled"),
    ],
)
def test_a_training_that_cannot_be_is_refused_first(
    tmp_path: Path, capsys, setting: str, told: str
) -> None:
    nowhere = tmp_path / "no world"
    assert main(train_words(nowhere, tmp_path / "run", setting)) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_detectron2_trains_and_proposes(detect, world: Path, tmp_path: Path) -> None:
    """A run that was interrupted ends as one that was not."""
    pytest.importorskip("detectron2.model_zoo")
    kind = ("proposer.kind=detectron2", "proposer.config=small")
    assert main(train_words(world, tmp_path, *kind, "proposer.weights=null")) == 0
    trained = (*kind, f"proposer.weights={tmp_path / 'proposer_detectron2.pth'}")
    whole, interrupted = tmp_path / "whole", tmp_path / "interrupted"
    assert detect(whole, *trained) == (0, num_batches(world))
    assert detect(interrupted, *trained, batches=3) == (130, 3)
    assert detect(interrupted, *trained) == (0, num_batches(world) - 3)
    assert_same_files(interrupted, whole)
    assert not read_proposals(whole / NAME)[0].empty
