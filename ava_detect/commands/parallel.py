"""Commands that several processes can share."""

from __future__ import annotations

from collections.abc import Callable

from ava_detect.engine import distributed


def run_together(command: Callable[[], object]) -> None:
    """Run a command with the other processes of torchrun, if any; the main one prints its text."""
    with distributed.joined():
        answer = command()
        if distributed.is_main():
            print(answer)
