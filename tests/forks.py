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
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = (
    "torch._dynamo",  # which an optimizer imports at its first step
    "ava_detect.commands.train",
    "ava_detect.commands.evaluate",
    "ava_detect.commands.propose",
    "ava_detect.commands.prepare",
)
LONGEST = 300  # seconds of a job, so that none outlives a test run for long
GRACE = 20  # seconds in which the others of a failed job may end by themselves


class Forks:
    """Starts jobs, each in a session of its own; use as a context manager, which ends them.

    ``launcher`` are words before the command of the warm process, such as those of `unshare`.
    """

    def __init__(self, launcher: Sequence[str] = ()) -> None:
        self._warm = subprocess.Popen(
            [*launcher, sys.executable, __file__],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests, which end this
        )
        self._asked = 0
        self._codes: dict[int, int | None] = {}  # of the jobs, None while they run

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is dead already
            self._ask("end")  # its input may be open still, in other children of the test
        self._warm.communicate()

    def start(self, output: Path, function: str, *words: object, **environment: object) -> int:
        """Begin a job, which speaks to the file ``output``; its process id.

        The job is MODULE:FUNCTION of strings, whose answer is the exit code. SIGALRM ends it after
        ``LONGEST`` seconds.
        """
        settings = {name: str(value) for name, value in environment.items()}
        job = self._ask([str(output), function, [*map(str, words)], settings])
        assert job
        self._codes[job] = None
        return job

    def command(self, output: Path, *words: object, **environment: object) -> int:
        """Begin `ava-detect` with these words."""
        return self.start(output, "tests.forks:detect", *words, **environment)

    def poll(self, job: int) -> int | None:
        """The exit code of a job, or minus the signal that ended it; None while it runs."""
        if self._codes[job] is None:
            self._codes[job] = self._ask(job)
        return self._codes[job]

    def wait(self, job: int | None = None) -> int:
        """The exit code of a job (the newest) at its end, or minus the signal that ended it."""
        job = job or [*self._codes][-1]
        while (code := self.poll(job)) is None:
            time.sleep(0.005)
        return code

    def join(self, jobs: Sequence[int]) -> list[int]:
        """The exit codes of jobs that wait for one another: where one fails, all are ended."""
        failed_at = None
        while None in (codes := [self.poll(job) for job in jobs]):
            if failed_at is None and any(codes):
                failed_at = time.monotonic()
            if failed_at is not None and time.monotonic() > failed_at + GRACE:
                self.end_jobs()
            time.sleep(0.005)
        return [self.wait(job) for job in jobs]

    def end_jobs(self) -> None:
        """Kill every job that still runs, and what it has started."""
        for job in [job for job in self._codes if self.poll(job) is None]:
            kill(job)
            self.wait(job)

    def _ask(self, question: object) -> int | None:
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        self._asked += 1
        self._warm.stdin.write(json.dumps([self._asked, question]) + "\n")
        self._warm.stdin.flush()
        for line in iter(self._warm.stdout.readline, ""):
            number, answer = json.loads(line)
            if number == self._asked:  # not to a question whose asker was interrupted
                return answer
        assert question == "end", "the process that forks for tests has died"
        return None


def kill(job: int) -> None:
    """End a job and what it has started."""
    try:
        os.killpg(job, signal.SIGKILL)
    except ProcessLookupError:  # it has no session of its own yet
        os.kill(job, signal.SIGKILL)


def detect(*words: str) -> int:
    """`ava-detect` with these words."""
    from ava_detect.cli import main

    return main(words)


def serve() -> None:
    """Answer lines [number, question] by [number, answer] until "end".

    A list begins a job, and the answer is its process id; a process id asks for the exit code,
    which is null while the job runs.
    """
    for name in IMPORTED:
        importlib.import_module(name)
    running: set[int] = set()
    try:
        for line in iter(sys.stdin.readline, ""):
            number, question = json.loads(line)
            if question == "end":
                break
            if isinstance(question, int):
                ended, status = os.waitpid(question, os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if ended else None
                running.discard(ended)
            else:
                answer = os.fork()
                if not answer:
                    running.clear()  # they are not this one's to end
                    work(*question)
                running.add(answer)
            print(json.dumps([number, answer]), flush=True)
    finally:
        for job in running:
            kill(job)


def work(output: str, function: str, words: list[str], environment: dict[str, str]) -> None:
    """Be a job; does not return."""
    os.setsid()
    signal.alarm(LONGEST)
    with Path(output).open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(environment)
    module, name = function.split(":")
    sys.exit(getattr(importlib.import_module(module), name)(*words))


if __name__ == "__main__":
    serve()
