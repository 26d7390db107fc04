"""Results as text and JSON."""

from __future__ import annotations

import json
from typing import Any

from ava_eval.atomic import atomic_path


def write_json(path: str, answer: dict[str, Any]) -> None:
    """Write a dict, whole or not at all."""
    text = json.dumps(answer, indent=1, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def count(number: int, noun: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
