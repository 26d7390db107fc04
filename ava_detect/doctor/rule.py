"""What is known of a kind of fault."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


class Rule(NamedTuple):
    """How bad a kind of fault is, why it matters, and what to do about it."""

    severity: Severity
    why: str
    remedy: str
