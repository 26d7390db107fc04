"""How far long work is: a line that is rewritten on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

_TERMINAL = (1.0, 0.2)  # seconds before the first line, and between lines
_ELSEWHERE = (30.0, 30.0)


class Progress:
    """Says ``LABEL 40%`` on standard error, if the work is long enough to wonder.

    ``total`` None: how much there is to do is not known.
    """

    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total, self._done = label, total, 0
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        first, self._pause = _TERMINAL if self._terminal else _ELSEWHERE
        self._next, self._shown = time.monotonic() + first, False

    def add(self, number: int) -> None:
        """So much more is done."""
        self._done += number
        if time.monotonic() < self._next or sys.stderr is None:
            return
        self._next, self._shown = time.monotonic() + self._pause, True
        part = f"{self._done / self._total:.0%}" if self._total else f"{self._done:,}"
        text = f"{self._label} {part}"
        print(
            f"\r{text}" if self._terminal else text,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Wipe the line."""
        if self._shown and self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
