"""One kind of fault found in one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ava_detect.doctor.rule import Rule, Severity
from ava_detect.doctor.rules import RULES

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
        own_severity: another one than the rule's, where the settings make it so.
    """

    code: str
    where: str
    what: str
    count: int = 1
    lines: tuple[int, ...] = ()
    items: tuple[str, ...] = ()
    remedy: str = ""
    own_severity: Severity | None = None

    @property
    def rule(self) -> Rule:
        """How bad it is, why it matters, what to do in general."""
        return RULES[self.code]

    @property
    def severity(self) -> Severity:
        """How bad it is here."""
        return self.own_severity or self.rule.severity

    @property
    def place(self) -> str:
        """``file:line``, or what there is of it."""
        return f"{self.where}:{self.lines[0]}" if self.lines else self.where

    @property
    def advice(self) -> str:
        """What to do about it."""
        return self.remedy or self.rule.remedy

    def to_json(self) -> dict[str, Any]:
        """For ``json.dump``."""
        return {
            "code": self.code,
            "severity": self.severity,
            "place": printable(self.place),
            "where": printable(self.where),
            "lines": list(self.lines),
            "items": [printable(item) for item in self.items],
            "count": self.count,
            "what": printable(self.what),
            "why": self.rule.why,
            "remedy": printable(self.advice),
        }


def printable(text: str) -> str:
    """A text in one line, in which what a terminal would act on stands as ``repr`` writes it."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def first_few(items: Iterable[str], count: int) -> str:
    """``a, b, c, ...``: those that are shown of ``count``."""
    shown = list(items)[:SHOWN]
    return ", ".join(shown) + (", ..." if count > len(shown) else "")
