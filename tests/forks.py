"""Processes of their own for tests, started at once: `Forks` is what a test uses.

As a program this is the warm process behind it, which has imported torch and forks for each job,
for an import of all that a command needs takes ten seconds on a slow processor.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# An optimizer imports _dynamo at its first step: a second for each job, unless it is there.
IMPORTED = (
    "torch._dynamo",
    "ava_detect.commands.train",
    "ava_detect.commands.evaluate",
    "ava_detect.commands.propose",
    "ava_detect.commands.prepare",
)


class Forks:
    """Starts jobs, each in a session of its own; use as a context manager.

    ``launcher`` are words before the command of the warm process, such as those of `unshare`.
    """

    def __init__(self, launcher: Sequence[str] = ()) -> None:
        self._warm = subprocess.Popen(
            [*launcher, sys.executable, __file__],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._newest: int | None = None
        assert self._answer() == "warm\n"

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        self._ask("end")  # its input may be open still, in other children of the test
        self._warm.communicate()

    def start(self, output: Path, function: str, *words: object, **environment: object) -> int:
        """Begin a job, which speaks to the file ``output``; its process id, good until `wait`.

        The job is MODULE:FUNCTION of strings, whose answer is the exit code.
        """
        settings = {name: str(value) for name, value in environment.items()}
        self._ask([str(output), function, [*map(str, words)], settings])
        self._newest = int(self._answer())
        return self._newest

    def command(self, output: Path, *words: object, **environment: object) -> int:
        """Begin `ava-detect` with these words."""
        return self.start(output, "tests.forks:detect", *words, **environment)

    def wait(self, job: int | None = None) -> int:
        """The exit code of a job (the newest) at its end, or minus the signal that ended it."""
        self._ask(job or self._newest)
        return int(self._answer())

    def _ask(self, question: object) -> None:
        assert self._warm.stdin is not None
        self._warm.stdin.write(json.dumps(question) + "\n")
        self._warm.stdin.flush()

    def _answer(self) -> str:
        assert self._warm.stdout is not None
        return self._warm.stdout.readline()


def detect(*words: str) -> int:
    """`ava-detect` with these words."""
    from ava_detect.cli import main

    return main(words)


def serve() -> None:
    """Fork for each list, in which this function ends; await the process of each number."""
    for name in IMPORTED:
        importlib.import_module(name)
    print("warm", flush=True)
    running = set()
    while (line := sys.stdin.readline()) not in ("", '"end"\n'):
        question = json.loads(line)
        if isinstance(question, int):
            print(os.waitstatus_to_exitcode(os.waitpid(question, 0)[1]), flush=True)
            running.discard(question)
            continue
        child = os.fork()
        if not child:
            work(*question)
        print(child, flush=True)
        running.add(child)
    for child in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def work(output: str, function: str, words: list[str], environment: dict[str, str]) -> None:
    """Be a job; does not return."""
    os.setsid()
    signal.alarm(300)  # where nobody is left to end it
    with Path(output).open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(environment)
    module, name = function.split(":")
    sys.exit(getattr(importlib.import_module(module), name)(*words))


if __name__ == "__main__":
    serve()
