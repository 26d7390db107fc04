"""Processes that a test may kill at any moment, started at once: `Forks` is what a test uses.

As a program this is the warm process behind it, which has imported torch and forks for each job.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Forks:
    """Starts one job at a time, in a session of its own; use as a context manager.

    ``module`` is imported once for all. ``launcher`` are words before the command of the warm
    process, such as those of `unshare`.
    """

    def __init__(self, module: str, launcher: Sequence[str] = ()) -> None:
        self._warm = subprocess.Popen(
            [*launcher, sys.executable, __file__, module],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._job: int | None = None
        assert self._answer() == "warm\n"

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        if self._job is not None:
            os.kill(self._job, signal.SIGKILL)
            self.wait()
        self._ask("end")  # its input may be open still, in other children of the test
        self._warm.communicate()

    def start(self, output: Path, job: str, *words: object) -> int:
        """Begin a job, which speaks to the file ``output``; its process id, good until `wait`."""
        self._ask([str(output), job, *map(str, words)])
        self._job = int(self._answer())
        return self._job

    def wait(self) -> int:
        """The exit code of the job at its end, or minus the signal that ended it."""
        self._ask("wait")
        self._job = None
        return int(self._answer())

    def _ask(self, question: object) -> None:
        assert self._warm.stdin is not None
        self._warm.stdin.write(json.dumps(question) + "\n")
        self._warm.stdin.flush()

    def _answer(self) -> str:
        assert self._warm.stdout is not None
        return self._warm.stdout.readline()


def save_without_end(folder: str, step: str) -> None:
    """Save checkpoints that are full of their numbers, ``step`` first; print the finished ones.

    An empty line tells that the first is about to begin.
    """
    from torch import nn

    from ava_detect.engine.average import WeightAverage
    from ava_detect.engine.checkpoint import save_step
    from ava_detect.engine.optim import build_optimizer

    model = nn.Sequential(*(nn.Linear(512, 512) for _ in range(3)), nn.BatchNorm1d(512))
    optimizer = build_optimizer(model, name="sgd", lr=0.1)
    average = WeightAverage(model, 0.9)
    for parameter in model.parameters():
        parameter.grad = parameter.detach().clone()
    optimizer.step()
    print(flush=True)
    for number in count(int(step)):
        momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
        for value in [*model.state_dict().values(), *average.state.values(), *momenta]:
            value.fill_(number)
        content = {"model": model, "optimizer": optimizer, "average": average}
        save_step(folder, step=number, config="", meta={}, **content)
        print(number, flush=True)


def command(*words: str) -> int:
    """`ava-detect` with these words."""
    from ava_detect.cli import main

    return main(words)


def serve(module: str) -> None:
    """Fork for each job, in which this function ends; the next line asks for the end of the job."""
    # An optimizer imports _dynamo at its first step: a second for each job, unless it is there.
    for name in ("torch._dynamo", "ava_detect.engine.optim", module):
        importlib.import_module(name)
    print("warm", flush=True)
    while (line := sys.stdin.readline()) not in ("", '"end"\n'):
        output, job, *words = json.loads(line)
        child = os.fork()
        if not child:
            os.setsid()
            signal.alarm(300)  # where nobody is left to end it
            with Path(output).open("a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.exit({"save": save_without_end, "command": command}[job](*words))
        print(child, flush=True)
        if not sys.stdin.readline():
            os.kill(child, signal.SIGKILL)  # the test is gone
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
