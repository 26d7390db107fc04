"""Training that is killed, short of disk, or left by its workers goes on as if nothing had been."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset

from ava_detect.data.batch import ClipSample
from ava_detect.data.loaders import ClipLoader, TrainBatches
from ava_detect.engine.checkpoint import latest, load_checkpoint
from ava_detect.synthetic import make_world
from ava_eval import read_annotations
from ava_eval.errors import InputError
from tests.forks import ROOT, Forks
from tests.small import SMALL_MODEL

STEPS, BATCH, SAVE_EVERY = 12, 4, 3
SETTINGS = (
    f"optim.steps={STEPS}",
    f"optim.batch_size={BATCH}",
    f"save_every={SAVE_EVERY}",
    "optim.warmup_steps=3",
    "optim.ema=0.9",
    *SMALL_MODEL,
    "model.dropout=0.5",  # so that random numbers matter
    "augment.crop=[64,80]",
    "log_every=1",
    "data.cache_gb=0",
    "device=cpu",
)


def slowly(*case: object) -> object:
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    sizes = {"train_videos": 3, "val_videos": 1, "test_videos": 0, "train_clips": 0, "val_clips": 0}
    make_world(folder, seed=3, seconds=5, workers=1, **sizes)
    return folder


def words_of(world: Path, run: Path, *more: str) -> list[str]:
    return ["train", "demo/ava", f"data.root={world}", f"output={run}", *SETTINGS, *more]


@pytest.fixture(scope="module")
def train(world: Path, forks: Forks) -> Callable[..., int]:
    """Begin the command on the run of a folder; it speaks to FOLDER.log."""

    def begin(run: Path, *more: str) -> int:
        return forks.command(run.with_suffix(".log"), *words_of(world, run, *more))

    return begin


@pytest.fixture(scope="module")
def straight(train: Callable[..., int], forks: Forks, tmp_path_factory) -> Path:
    """A run that nothing disturbs."""
    run = tmp_path_factory.mktemp("straight") / "run"
    train(run)
    assert forks.wait() == 0, log_of(run)
    return run


def log_of(run: Path) -> str:
    return run.with_suffix(".log").read_text()


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def has_saved(run: Path, step: int) -> Callable[[], bool]:
    return lambda: any(int(path.stem[5:]) >= step for path in run.glob("step-*.pt"))


def flat(value: object, name: str = "") -> dict[str, object]:
    """Everything in nested containers, by its place."""
    if isinstance(value, (dict, list, tuple)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, part in pairs for k, v in flat(part, f"{name}.{key}").items()}
    return {name: value}


def assert_same_bits(first: object, second: object) -> None:
    one, two = flat(first), flat(second)
    assert one.keys() == two.keys()
    for key, value in one.items():
        other = two[key]
        if isinstance(value, torch.Tensor):
            assert value.dtype == other.dtype, key
            assert torch.equal(value, other), key
        else:
            assert value == other, key


def assert_same_run(run: Path, other: Path) -> None:
    """Weights, averages, optimizer, random numbers and losses, bit for bit."""
    final, newest = load_checkpoint(run / "final.pt"), latest(run)
    assert (final.step, newest.step) == (STEPS, STEPS)
    assert_same_bits(final.model, load_checkpoint(other / "final.pt").model)
    assert_same_bits(final.average, load_checkpoint(other / "final.pt").average)
    for part in ("model", "average", "optimizer", "random"):
        assert_same_bits(getattr(newest, part), getattr(latest(other), part))
    assert figures(run) == figures(other)


def figures(run: Path) -> list[tuple[int, float, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    return [(line["step"], line["loss"], line["lr"]) for line in lines]


@pytest.mark.parametrize("kills", [3, slowly(20)])
def test_a_run_killed_at_random_moments_ends_as_if_it_had_not(
    kills: int, straight: Path, world: Path, train, forks: Forks, tmp_path: Path, capsys
) -> None:
    rng = random.Random(kills)

    def begin(run: Path) -> int:
        """Start a run and wait for its first step."""
        job = train(run)
        wait_until(lambda: (run / "metrics.jsonl").exists())
        return job

    begin(tmp_path / "measured")
    begun = time.monotonic()
    wait_until((tmp_path / "measured" / "final.pt").exists)
    duration = time.monotonic() - begun
    forks.wait()
    resumed_at = []
    for number in range(kills):
        run = tmp_path / str(number)
        job = begin(run)
        time.sleep(duration * (number + rng.random()) / kills)
        os.kill(job, signal.SIGKILL)
        assert forks.wait() == -signal.SIGKILL, log_of(run)
        newest = latest(run)
        resumed_at.append(0 if newest is None else newest.step)
        train(run)
        assert forks.wait() == 0, log_of(run)
        assert_same_run(run, straight)
        assert "Traceback" not in log_of(run)
    with capsys.disabled():
        print(f"resumed after steps {sorted(resumed_at)}", end="")
    assert any(0 < step < STEPS for step in resumed_at)


def test_a_checkpoint_lies_inside_an_epoch(world: Path) -> None:
    people = read_annotations(world / "train.csv").query("action_id > 0")
    keyframes = len(people[["video_id", "timestamp"]].drop_duplicates())
    assert any(step * BATCH % keyframes for step in range(SAVE_EVERY, STEPS, SAVE_EVERY))


def read_of(pid: int, name: str) -> bytes:
    """What /proc tells of a process; nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def children_of(parent: int) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    line = f"\nPPid:\t{parent}\n".encode()
    return sorted(pid for pid in pids if line in read_of(pid, "status"))


def workers_of(pid: int) -> list[int]:
    """The children that are forks of the process itself."""
    return [w for w in children_of(pid) if read_of(w, "cmdline") == read_of(pid, "cmdline")]


@pytest.mark.parametrize("when", [slowly("at once"), "after a checkpoint"])
def test_a_worker_that_is_killed_is_told_in_one_line(
    when: str, straight: Path, train, forks: Forks, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    job = train(run, "data.workers=2")
    wait_until(lambda: len(workers_of(job)) == 2)
    if when == "after a checkpoint":
        wait_until(has_saved(run, SAVE_EVERY))
    worker = workers_of(job)[1]
    os.kill(worker, signal.SIGKILL)
    begun = time.monotonic()
    code = forks.wait()
    log = log_of(run)
    assert code == 2, log
    assert time.monotonic() - begun < 20
    assert "Traceback" not in log
    errors = [line for line in log.splitlines() if "error" in line]
    assert errors == [log.splitlines()[-1]]
    assert errors[0].startswith(f"error: data.workers: process {worker}, which read clips, was")
    assert "killed by SIGKILL" in errors[0]
    newest = latest(run)
    assert (newest is not None) == (when == "after a checkpoint")
    assert not list(run.glob(".step-*"))
    train(run, "data.workers=2")
    assert forks.wait() == 0, log_of(run)
    assert_same_run(run, straight)


@pytest.mark.parametrize("number", [signal.SIGTERM, slowly(signal.SIGINT)])
def test_a_signal_to_all_processes_saves_the_step(
    number: signal.Signals, straight: Path, train, forks: Forks, tmp_path: Path
) -> None:
    """Schedulers and torchrun end a job by a signal to its group, which the workers are in."""
    run = tmp_path / "run"
    job = train(run, "data.workers=2")
    wait_until(has_saved(run, SAVE_EVERY))
    os.killpg(job, number)
    assert forks.wait() == 128 + number, log_of(run)
    assert "which is saved" in log_of(run)
    assert "Traceback" not in log_of(run)
    train(run)
    assert forks.wait() == 0, log_of(run)
    assert_same_run(run, straight)


class DyingClips(Dataset):
    """The fifth sample ends the process that reads it."""

    def __init__(self, end: Callable[[], object]) -> None:
        self.end = end

    def __len__(self) -> int:
        return 8

    def __getitem__(self, item: tuple[int, int]) -> ClipSample:
        if item[0] == 4:
            self.end()
        return ClipSample(
            frames=torch.full((1, 2, 2, 3), item[0], dtype=torch.uint8),
            boxes=torch.zeros(1, 4),
            labels=None,
            rows=torch.tensor([item[0]]),
        )


def error_of(loader: ClipLoader) -> str:
    try:
        list(loader)
    except InputError as error:
        return str(error)  # without the frames that would keep the other workers
    return ""


@pytest.mark.parametrize(
    ("end", "fate"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was killed by SIGKILL"),
        (lambda: os._exit(0), "ended with exit code 0"),
        slowly(lambda: os.kill(os.getpid(), signal.SIGSEGV), "was killed by SIGSEGV"),
        slowly(lambda: os._exit(3), "ended with exit code 3"),
    ],
    ids=["killed", "left-in-peace", "crashed", "left"],
)
def test_a_source_that_ends_its_worker_is_told(end, fate: str) -> None:
    plan = TrainBatches(8, 2, seed=0, first_step=0, num_steps=40)
    before = signal.getsignal(signal.SIGCHLD)
    error = error_of(ClipLoader(DyingClips(end), plan, workers=2))
    assert re.match(rf"data\.workers: process \d+, which read clips, {fate}", error), error
    assert "\n" not in error
    assert signal.getsignal(signal.SIGCHLD) == before
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_mistake_in_a_worker_stays_a_traceback() -> None:
    def mistake() -> None:
        raise RuntimeError("a mistake of ours")

    plan = TrainBatches(8, 2, seed=0, first_step=0, num_steps=40)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        list(ClipLoader(DyingClips(mistake), plan, workers=2))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    """A disk of 32 MB, and the words that start a command which sees it, for the rest of us don't.

    It goes with its keeper.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    if not all(map(shutil.which, ("unshare", "nsenter", "mount"))):
        pytest.skip("a small disk takes unshare, nsenter and mount")
    script = f"mount -t tmpfs -o size=32m tmpfs '{folder}' && echo mounted && exec cat"
    keeper = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if keeper.stdout.readline() != "mounted\n":
            pytest.skip(f"a small disk cannot be mounted here: {keeper.stderr.read().strip()}")
        enter = ["nsenter", f"--target={keeper.pid}", "--user", "--mount", "--preserve-credentials"]
        yield folder, [*enter, "--"]
    finally:
        keeper.communicate()


@pytest.mark.slow
def test_a_full_disk_ends_a_run_in_one_line_and_costs_no_checkpoint(
    straight: Path, world: Path, disk: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, enter = disk
    seen = Path(f"/proc/{pid_of(enter)}/root") / folder.relative_to("/")
    run, filler = folder / "run", seen / "filler"
    size = (straight / f"step-{STEPS:08d}.pt").stat().st_size
    with Forks(enter) as forks:

        def go(number: int) -> tuple[int, str]:
            log = tmp_path / f"{number}.log"
            forks.command(log, *words_of(world, run))
            return forks.wait(), log.read_text()

        # Two checkpoints fit, and half of a third.
        room = os.statvfs(seen)
        filler.write_bytes(bytes(room.f_bavail * room.f_frsize - int(2.5 * size)))
        code, log = go(1)
        assert code == 2, log
        assert "Traceback" not in log
        last = log.splitlines()[-1]
        assert last.startswith(f"error: {run}/step-00000009.pt: ")
        assert "No space left" in last
        assert [path.name for path in sorted((seen / "run").glob("*step*"))] == [
            "step-00000003.pt",
            "step-00000006.pt",
        ]
        assert latest(seen / "run").step == 6

        # Not a byte is left: what is written first is named too, and the run is as good as before.
        room = os.statvfs(seen)
        with filler.open("ab") as file:
            file.write(bytes(room.f_bavail * room.f_frsize))
        code, log = go(2)
        assert code == 2, log
        assert "Traceback" not in log
        assert log.splitlines()[-1].startswith(f"error: {run}/")
        assert "No space left" in log.splitlines()[-1]
        assert latest(seen / "run").step == 6

        filler.unlink()
        code, log = go(3)
        assert code == 0, log
        assert "after step 6" in log
    assert not [path.name for path in (seen / "run").glob(".*.pt")]
    assert_same_run(seen / "run", straight)


def pid_of(enter: list[str]) -> int:
    return int(enter[1].removeprefix("--target="))


TORCHRUN = {
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
    # Without it, torch 2.14's ranks may find the addresses of those that died, and fail again.
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
}


def torchrun(world: Path, run: Path, log: Path, *more: str) -> subprocess.Popen:
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words += ["--max-restarts=2", "-m", "ava_detect", *words_of(world, run, *more)]
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, *words],
            env=os.environ | TORCHRUN,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_dies_is_started_again(rank: int, world: Path, tmp_path: Path) -> None:
    """torchrun starts all ranks again; they go on from the newest checkpoint, exactly."""
    runs = [tmp_path / name for name in ("whole", "killed")]
    logs = [run.with_suffix(".log") for run in runs]
    slow = "augment.crop=[112,144]"  # so that the run is not over before its rank is killed
    assert torchrun(world, runs[0], logs[0], slow).wait(200) == 0, logs[0].read_text()
    launcher = torchrun(world, runs[1], logs[1], slow)
    try:
        wait_until(lambda: rank_of(launcher.pid, rank))
        victim = rank_of(launcher.pid, rank)
        wait_until(has_saved(runs[1], SAVE_EVERY))
        os.kill(victim, signal.SIGKILL)
        assert launcher.wait(200) == 0, logs[1].read_text()
    finally:
        launcher.kill()
    starts = json.loads((runs[1] / "starts.json").read_text())
    assert [start["processes"] for start in starts] == [2, 2]
    assert SAVE_EVERY <= starts[1]["step"] < STEPS
    assert_same_run(runs[1], runs[0])


def rank_of(launcher: int, rank: int) -> int | None:
    """The process of torchrun that has this rank, once it is there."""
    for child in children_of(launcher):
        if f"RANK={rank}".encode() in read_of(child, "environ").split(b"\0"):
            return child
    return None
