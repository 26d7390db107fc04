"""Curves are read back with TensorBoard's own reader."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ava_detect.engine import distributed
from ava_detect.engine.tensorboard import ScalarWriter

ROOT = Path(__file__).parents[2]


def curves(folder):
    """{tag: [(step, value), ...]} of what TensorBoard shows."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder))
    reader.Reload()
    tags = reader.Tags()["scalars"]
    return {tag: [(e.step, pytest.approx(e.value)) for e in reader.Scalars(tag)] for tag in tags}


def test_figures_become_curves(tmp_path):
    with ScalarWriter(tmp_path / "new" / "folder") as writer:
        figures = {"loss": 0.5, "lr": np.float32(0.25), "clips": 3, "seconds": None, "text": "x"}
        writer.write(10, figures, "train")
        writer.write(20, {"loss": None, "lr": 1e-5}, "train")
        writer.write(20, {"mean_ap": 0.125}, "val")
    assert curves(tmp_path / "new" / "folder") == {
        "train/loss": [(10, 0.5)],
        "train/lr": [(10, 0.25), (20, 1e-5)],
        "train/clips": [(10, 3.0)],
        "val/mean_ap": [(20, 0.125)],
    }


def test_steps_done_again_show_once(tmp_path):
    with ScalarWriter(tmp_path, 0) as writer:
        for step in range(10, 60, 10):
            writer.write(step, {"loss": step}, "train")
        writer.write(20, {"mean_ap": 0.2}, "val")
        writer.write(40, {"mean_ap": 0.4}, "val")
    with ScalarWriter(tmp_path, 30) as writer:  # the checkpoint of step 30 was the last
        assert curves(tmp_path)["train/loss"] == [(10, 10), (20, 20), (30, 30)]
        writer.write(30, {"mean_ap": 0.3}, "val")  # which the stopped run still owed
        for step in range(35, 50, 5):
            writer.write(step, {"loss": -step}, "train")
    assert curves(tmp_path) == {
        "train/loss": [(10, 10), (20, 20), (30, 30), (35, -35), (40, -40), (45, -45)],
        "val/mean_ap": [(20, 0.2), (30, 0.3)],
    }
    with ScalarWriter(tmp_path, 0) as writer:  # the checkpoints are gone: all is done again
        writer.write(5, {"loss": 1}, "train")
    assert curves(tmp_path) == {"train/loss": [(5, 1)], "val/mean_ap": []}


@pytest.mark.slow
def test_a_killed_run_keeps_its_curves(tmp_path):
    job = """
import os, signal, sys
from ava_detect.engine.tensorboard import ScalarWriter
writer = ScalarWriter(sys.argv[1])
for step in range(1, 4):
    writer.write(step, {"loss": step}, "train")
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "-c", job, tmp_path], env=environment, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert curves(tmp_path) == {"train/loss": [(1, 1), (2, 2), (3, 3)]}


def test_only_the_main_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    with ScalarWriter(tmp_path / "folder") as writer:
        writer.write(1, {"loss": 1.0}, "train")
    assert not (tmp_path / "folder").exists()


@pytest.mark.slow
def test_the_module_does_not_load_tensorboard():
    code = "import sys, ava_detect.engine.tensorboard; sys.exit('tensorboard' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
