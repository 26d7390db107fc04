"""What a run was made with: versions, machine, processes, and the commit of the code."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ava_detect.engine import distributed
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError

PACKAGES = ("ava-detect", "torchvision", "numpy", "pandas", "opencv-python-headless", "av")


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Facts that may explain why two runs of one config differ."""
    on_gpu = device.type == "cuda"
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {
            "torch": torch.__version__,  # tells the CUDA it was built for
            **{name: _version(name) for name in PACKAGES},
        },
        "machine": platform.platform(),
        "device": torch.cuda.get_device_name(device) if on_gpu else platform.processor(),
        "threads": torch.get_num_threads(),
        "processes": distributed.world_size(),
    }


def note_start(run_dir: Path, step: int, device: torch.device) -> None:
    """Add a start of the run, after ``step`` finished steps, to ``starts.json``; main rank only."""
    if not distributed.is_main():
        return
    path = run_dir / "starts.json"
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    except ValueError as error:
        raise InputError.at(path, None, None, "JSON", remedy="delete it") from error
    start = {"step": step, **describe_environment(device)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps([*before, start], indent=1) + "\n", encoding="utf-8")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout that runs, with a + if it was changed; None of an installation."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        words = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None  # without git, or a folder that it distrusts: the run matters more
    return done.stdout.strip()
