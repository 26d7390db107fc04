"""What commands write besides their result: JSON, warnings, progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ava_eval.atomic import atomic_path, require_writable
from ava_eval.errors import InputError
from ava_eval.progress import Progress


def require_new_file(path: str | None, inputs: Sequence[str | None]) -> None:
    """Raise ``InputError`` when a result cannot be written or would replace an input."""
    if path is None:
        return
    require_writable(path)
    for other in inputs:
        exist = other is not None and Path(other).exists() and Path(path).exists()
        if exist and Path(path).samefile(str(other)):
            raise InputError(f"{path}: expected a file for the result that is not also read")


def write_json(path: str, answer: dict[str, Any], indent: int | None = 1) -> None:
    """Write a dict, whole or not at all."""
    text = json.dumps(answer, indent=indent, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def warn(notices: Iterable[str]) -> None:
    """Say on standard error what a user may not expect, each thing once."""
    for notice in dict.fromkeys(notices):
        print(f"warning: {notice}", file=sys.stderr)


def warn_of_few_videos(number: int) -> None:
    """A bootstrap over videos needs several."""
    if number < 2:
        warn(["there are fewer than two videos: the intervals say nothing"])


@contextmanager
def progress_of_draws(num_classes: int) -> Iterator[Callable[[], None]]:
    """Shows how far a bootstrap is; yields what to call for each class."""
    progress = Progress("drawing videos", num_classes)
    try:
        yield lambda: progress.add(1)
    finally:
        progress.close()
