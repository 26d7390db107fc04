"""One command at a time on a folder, whichever process it is in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ava_detect.cli import main
from ava_detect.commands.lock import alone_in
from ava_eval import InputError

HOLDER = """
import os, sys, time
from pathlib import Path
from ava_detect.commands.lock import alone_in
with alone_in(Path(sys.argv[1]), sys.argv[2]):
    if os.fork() == 0:
        os.close(1)
        time.sleep(20)  # a child that outlives its parent, as a loader's worker may
        os._exit(0)
    print("held", flush=True)
    os.read(0, 1)
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Another process that holds the folder until a byte is written to it, and leaves a child."""
    words = [sys.executable, "-c", HOLDER, str(tmp_path), "train"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.stdin.close()


def test_a_killed_command_leaves_no_lock_though_a_child_lives(holder, tmp_path):
    with pytest.raises(InputError, match="another `ava-detect train` is at work here"):
        alone_in(tmp_path, "train").__enter__()
    with alone_in(tmp_path, "prepare"):
        pass
    holder.stdin.write(b"x")
    holder.stdin.flush()
    assert holder.wait(20) == -9
    with alone_in(tmp_path, "train"):
        pass  # well before the child is gone


def test_two_trainings_do_not_meet(holder, tmp_path, capsys):
    assert main(["train", "demo/ava", f"output={tmp_path}", f"data.root={tmp_path}"]) == 2
    assert "another `ava-detect train` is at work here" in capsys.readouterr().err
