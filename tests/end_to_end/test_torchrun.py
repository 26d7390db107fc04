"""Several processes train and score as one does."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pandas as pd
import pytest
import torch

from ava_detect.cli import main
from ava_detect.synthetic import make_world
from ava_eval import read_detections
from tests.forks import ROOT, Forks
from tests.small import SMALL_MODEL

STEPS = 20
SETTINGS = (
    f"optim.steps={STEPS}",
    "optim.warmup_steps=5",
    "optim.batch_size=4",
    "optim.name=sgd",
    "optim.lr=0.0005",  # small: rounding must not grow into another run
    "optim.batch_norm=frozen",
    "precision=float32",
    "log_every=1",
    "save_every=7",
    "evaluation.min_score=0",
    "evaluation.boxes=groundtruth",
    "evaluation.batch_size=2",
    "data.cache_gb=0",
    *SMALL_MODEL,
    "augment.crop=[64,80]",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_world(
        folder,
        seed=3,
        train_videos=3,
        val_videos=2,
        test_videos=0,
        train_clips=0,
        val_clips=0,
        seconds=5,
        workers=1,
    )
    return folder


Run = Callable[..., str]


@pytest.fixture(scope="module")
def run(world: Path, forks: Forks) -> Run:
    """A command works alone or as several processes; what they say if all is well."""

    def run(output: Path, command: str, *words: str, processes: int = 1) -> str:
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": processes}
        log = output.with_suffix(f".{command}{processes}.log")
        jobs = [
            forks.command(
                log,
                *words_of(world, output, command, *words),
                RANK=rank,
                LOCAL_RANK=rank,
                **meeting,
            )
            for rank in range(processes)
        ]
        codes = forks.join(jobs)
        assert codes == [0] * processes, log.read_text()
        return log.read_text()

    return run


def words_of(world: Path, output: Path, command: str, *words: str) -> list[str]:
    return [command, "demo/ava", f"data.root={world}", f"output={output}", *SETTINGS, *words]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def torchrun(*words: str) -> str:
    """What `ava-detect` prints that torchrun has started twice."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    launcher += ["--master-addr=127.0.0.1", f"--master-port={free_port()}", "-m", "ava_detect"]
    done = subprocess.run(
        [*launcher, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(folder: Path) -> pd.DataFrame:
    return pd.read_json(folder / "metrics.jsonl", lines=True)


@pytest.fixture(scope="module")
def runs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process has trained, and what two have."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    with redirect_stdout(io.StringIO()) as said:
        assert main(words_of(world, one, "train")) == 0
    assert said.getvalue().splitlines() == [str(one / "final.pt")]
    assert torchrun(*words_of(world, two, "train")).splitlines() == [str(two / "final.pt")]
    return one, two


def test_two_processes_train_as_one(runs: tuple[Path, Path]) -> None:
    first, second = map(losses, runs)
    assert first["step"].tolist() == second["step"].tolist() == list(range(1, STEPS + 1))
    assert (first["loss"] - second["loss"]).abs().max() < 1e-5
    before, after, other = (
        torch.load(path, weights_only=True)["model"]
        for path in (
            runs[0] / "step-00000014.pt",
            runs[0] / "final.pt",
            runs[1] / "final.pt",
        )
    )
    moved = max(float((after[key] - before[key]).abs().max()) for key in after)
    assert moved > 1e-4  # in six steps; much more than what may differ
    for key, value in after.items():
        torch.testing.assert_close(other[key], value, rtol=1e-5, atol=1e-5, msg=key)


def test_two_processes_score_as_one(world: Path, run: Run, runs: tuple[Path, Path]) -> None:
    weights = f"weights={runs[0] / 'final.pt'}"
    run(runs[0], "evaluate", weights)
    torchrun(*words_of(world, runs[1], "evaluate", weights))
    found = [read_detections(folder / "detections.csv") for folder in runs]
    pd.testing.assert_frame_equal(*found, rtol=0, atol=1e-6)
    means = [json.loads((folder / "metrics.json").read_text())["mAP"] for folder in runs]
    assert means[0] == pytest.approx(means[1], abs=1e-6)


def test_a_run_goes_on_with_another_number_of_processes(
    run: Run, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    """Two processes did fourteen steps, one does the other six: of the same samples."""
    one, two = runs
    for name in ("step-00000014.pt", "metrics.jsonl", "config.yaml"):
        shutil.copy(two / name, tmp_path / name)
    shutil.copy(two / "starts.json", tmp_path)
    run(tmp_path, "train")
    starts = json.loads((tmp_path / "starts.json").read_text())
    assert [(start["step"], start["processes"]) for start in starts] == [(0, 2), (14, 1)]
    assert starts[0]["packages"]["torch"] == torch.__version__
    first, second = losses(one), losses(tmp_path)
    assert first["step"].tolist() == second["step"].tolist()
    assert (first["loss"] - second["loss"]).abs().max() < 1e-5


def test_a_batch_that_cannot_be_shared_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"optim\.batch_size: expected a multiple of 2 "):
        run(tmp_path, "train", "optim.batch_size=3", processes=2)
