"""Progress is quiet where nobody waits."""

from __future__ import annotations

import io

import pytest

from ava_eval import progress
from ava_eval.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "shown"),
    [
        (io.StringIO, "reading 30%\nreading 100%\n"),
        (Terminal, "\rreading 30%\rreading 100%\r\x1b[K"),
    ],
)
def test_long_work(monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], shown: str) -> None:
    monkeypatch.setattr(progress, "_TERMINAL", (0.0, 0.0))
    monkeypatch.setattr(progress, "_ELSEWHERE", (0.0, 0.0))
    errors = stream()
    monkeypatch.setattr("sys.stderr", errors)
    work = Progress("reading", 10)
    work.add(3)
    work.add(7)
    work.close()
    assert errors.getvalue() == shown


def test_short_work_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (io.StringIO(), Terminal(), None):
        monkeypatch.setattr("sys.stderr", stream)
        work = Progress("reading", None)
        work.add(3)
        work.close()
        assert stream is None or stream.getvalue() == ""
