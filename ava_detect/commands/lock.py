"""One command at a time on a folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ava_eval.errors import InputError


@contextmanager
def alone_in(folder: Path, command: str) -> Iterator[None]:
    """Hold a folder's lock, which goes with the process; InputError where another one has it.

    A lock by ``lockf``: a child, such as a loader's worker that outlives its killed parent, has no
    part in it.
    """
    with (folder / f".{command}.lock").open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise InputError(
                f"{folder}: another `ava-detect {command}` is at work here; wait for its end, or"
                " name another folder"
            ) from error
        yield
