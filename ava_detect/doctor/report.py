"""The findings, and what was looked at, for a person and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from ava_detect.doctor.findings import Finding, printable
from ava_detect.doctor.rule import SEVERITIES
from ava_eval.text import count

EDGE = 5
"""So many of the most frequent and of the rarest classes are printed."""

NAME = 36
"""Characters of a class's name."""


@dataclass(frozen=True)
class SplitFacts:
    """How much a split has without excluded keyframes.

    ``videos`` that were found; where no video was looked at (hours None), those that are named.
    """

    name: str
    videos: int
    hours: float | None
    keyframes: int
    people: int
    labels: int
    proposals: int | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """What the doctor found.

    ``classes`` has ``action_id name`` and a column of people a split, the most frequent first; ids
    are those that data.classes takes.
    """

    findings: list[Finding]
    splits: list[SplitFacts]
    classes: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def num_of(self) -> Counter[str]:
        """Kinds of findings by severity."""
        return Counter(finding.severity for finding in self.findings)

    @property
    def has_errors(self) -> bool:
        """Whether something will stop a run or spoil its result."""
        return self.num_of["error"] > 0

    def to_json(self) -> dict[str, Any]:
        """For ``json.dump``."""
        return {
            "ok": not self.has_errors,
            "counts": {severity: self.num_of[severity] for severity in SEVERITIES},
            "findings": [finding.to_json() for finding in in_order(self.findings)],
            "splits": [asdict(facts) for facts in self.splits],
            "classes": [
                {
                    "id": row["action_id"],
                    "name": printable(row["name"]),
                    "people": {facts.name: row[facts.name] for facts in self.splits},
                }
                for row in self.classes.to_dict("records")
            ],
        }

    def text(self) -> str:
        """What a person reads."""
        lines: list[str] = []
        where = None
        for finding in in_order(self.findings):
            place = "notes" if finding.severity == "note" else printable(finding.where)
            if place != where:
                where = place
                lines += [*([""] if lines else []), where]
            lines += [printable(line) for line in _told(finding)]
        lines += [*([""] if lines else []), *_checked(self.splits), *_classes(self)]
        return "\n".join([*lines, "", self.summary()])

    def summary(self) -> str:
        """One line."""
        number = self.num_of
        if not number["error"] and not number["warning"]:
            return "nothing wrong" + (f", {count(number['note'], 'note')}" if number else "")
        return ", ".join(count(number[severity], severity) for severity in SEVERITIES)


def in_order(findings: list[Finding]) -> list[Finding]:
    """Places with the worst findings first; in each the worst first; all notes last."""
    worst: dict[str, int] = {}
    for finding in findings:
        rank = SEVERITIES.index(finding.severity)
        worst[finding.where] = min(rank, worst.get(finding.where, rank))
    places = {where: place for place, where in enumerate(worst)}

    def key(finding: Finding) -> tuple[bool, int, int, int, tuple[int, ...]]:
        rank = SEVERITIES.index(finding.severity)
        is_note = finding.severity == "note"
        return is_note, worst[finding.where], places[finding.where], rank, finding.lines

    return sorted(findings, key=key)


def _told(finding: Finding) -> list[str]:
    times = [] if finding.count == 1 else [f"{finding.count} times"]
    others = [str(line) for line in finding.lines[1:]]
    if others:
        more = ", ..." if finding.count > len(finding.lines) else ""
        times.append(f"also on lines {', '.join(others)}{more}")
    told = f" ({', '.join(times)})" if times else ""
    what = f"  {finding.place}: {finding.severity}: {finding.code}: {finding.what}{told}"
    if finding.severity == "note" and finding.advice.startswith("nothing"):
        return [what]
    return [what, f"    why: {finding.rule.why}", f"    do:  {finding.advice}"]


def _checked(splits: list[SplitFacts]) -> list[str]:
    if not splits:
        return ["nothing else was checked"]
    lines = ["checked  videos    hours  keyframes     people     labels  proposals"]
    for facts in splits:
        hours = "-" if facts.hours is None else f"{facts.hours:.2f}"
        proposals = "-" if facts.proposals is None else str(facts.proposals)
        lines.append(
            f"{facts.name:<7}{facts.videos:>8}{hours:>9}{facts.keyframes:>11}{facts.people:>11}"
            f"{facts.labels:>11}{proposals:>11}"
        )
    return lines


def _classes(report: Report) -> list[str]:
    """The head and the tail of the table of classes, without those that nobody has."""
    table, names = report.classes, [facts.name for facts in report.splits if facts.labels]
    if not len(table) or not names:
        return []
    seen = table[table[names].sum(axis=1) > 0]
    lines = ["", f"{'people of each class':<{NAME}}" + "".join(f"{name:>10}" for name in names)]
    for place, row in enumerate(seen.to_dict("records")):
        if place == EDGE and len(seen) > 2 * EDGE:
            lines.append(f"  ... {len(seen) - 2 * EDGE} more ...")
        if EDGE <= place < len(seen) - EDGE:
            continue
        name = f"{row['action_id']:>4} {printable(row['name'])}"
        cut = name if len(name) < NAME else f"{name[: NAME - 4]}..."
        lines.append(f"{cut:<{NAME}}" + "".join(f"{row[split]:>10}" for split in names))
    unseen = len(table) - len(seen)
    if unseen:
        lines.append(f"  nobody in the {unseen} other classes of the label map")
    return lines
