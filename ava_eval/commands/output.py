"""Results as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ava_eval.atomic import atomic_path, require_writable
from ava_eval.errors import InputError


def require_new_file(path: str | None, inputs: Sequence[str | None]) -> None:
    """Raise ``InputError`` when JSON cannot be written or would replace an input."""
    if path is None:
        return
    require_writable(path)
    for other in inputs:
        exist = other is not None and Path(other).exists() and Path(path).exists()
        if exist and Path(path).samefile(str(other)):
            raise InputError(f"--json {path}: expected a file that is not also read")


def write_json(path: str, answer: dict[str, Any]) -> None:
    """Write a dict, whole or not at all."""
    text = json.dumps(answer, indent=1, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
