"""One kind of fault found in one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ava_detect.doctor.rules import RULES, Rule

SHOWN = 5
"""So many places of a finding are named; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """One kind of fault in one place.

    Attributes:
        code: of ``RULES``.
        where: a file, a folder or a setting.
        what: what is wrong, with an example.
        count: how often.
        lines: of the file, the first few.
        items: what else tells the places apart (videos, classes), the first few.
        remedy: a better one than the rule's, where it is known.
    """

    code: str
    where: str
    what: str
    count: int = 1
    lines: tuple[int, ...] = ()
    items: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def rule(self) -> Rule:
        """Its severity, why it matters, what to do in general."""
        return RULES[self.code]

    @property
    def place(self) -> str:
        """``file:line``, or what there is of it."""
        return f"{self.where}:{self.lines[0]}" if self.lines else self.where

    def to_json(self) -> dict[str, Any]:
        """For ``json.dump``."""
        return {
            "code": self.code,
            "severity": self.rule.severity,
            "place": self.place,
            "where": self.where,
            "lines": list(self.lines),
            "items": list(self.items),
            "count": self.count,
            "what": self.what,
            "why": self.rule.why,
            "remedy": self.remedy or self.rule.remedy,
        }


def first_few(items: Iterable[str], count: int) -> str:
    """``a, b, c, ...``: those that are shown of ``count``."""
    shown = list(items)[:SHOWN]
    return ", ".join(shown) + (", ..." if count > len(shown) else "")
