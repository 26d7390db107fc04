"""``ava-eval validate``."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np

from ava_eval.box_sources import read_keys
from ava_eval.commands.output import require_new_file, write_json
from ava_eval.evaluation_inputs import FileNotes, read_classes
from ava_eval.keyframes import KeyframeNumbers
from ava_eval.text import count
from ava_eval.validation import RULES, Validation, Violation, check_submission, ranges

_RANGES, _FIRST = 12, 10_000  # shown of the lines that are not shown one by one; looked at


def validate(arguments: argparse.Namespace) -> int:
    """Print every violation; the exit code."""
    require_new_file(
        arguments.json,
        [arguments.detections, arguments.labelmap, arguments.keyframes, arguments.excluded],
    )
    numbers, notes = KeyframeNumbers(), FileNotes(arguments.json is not None, progress=True)
    classes = notes.read("labelmap", arguments.labelmap, read_classes)
    keys = {
        role: None if path is None else notes.read(role, path, partial(read_keys, numbers))
        for role, path in (
            ("keyframes", arguments.keyframes),
            ("excluded", arguments.excluded),
        )
    }

    def check(path: str, digest: Any) -> tuple[Validation, int]:
        found = check_submission(path, numbers, classes.ids, **keys, digest=digest)
        return found, found.counts["rows"]

    result = notes.read("detections", arguments.detections, check)
    if arguments.json is not None:
        write_json(arguments.json, result.to_json(notes.entries()), indent=None)
    for violation in result.violations:
        print("\n".join(_lines(arguments.detections, violation)))
    print(_summary(arguments, result))
    return 0 if result.valid else 1


def _lines(path: str, violation: Violation) -> list[str]:
    """The violations of one rule: some with what stands there, all others by line."""
    expected, remedy = RULES[violation.kind]
    if not len(violation.lines):
        return [f"{path}: expected {expected}; {remedy}"]
    shown = []
    for line, column, expected, got in violation.examples:
        where = f"{path}:{line}: " + ("" if column is None else f"column {column}: ")
        cut = got if len(got) <= 80 else f"{got[:77]}..."
        shown.append(f"{where}expected {expected}, got {cut!r}")
    seen = [example.line for example in violation.examples]
    others = violation.lines[~np.isin(violation.lines, seen)]
    text = f"{path}: {violation.kind}: {count(len(violation.lines), 'row')}"
    if len(others):
        runs = ranges(others[:_FIRST])
        some = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs[:_RANGES])
        text += f", those not shown on lines {some}" + (
            ", ..." if len(runs) > _RANGES or len(others) > _FIRST else ""
        )
    return [*shown, f"{text}; {remedy}"]


def _summary(arguments: argparse.Namespace, result: Validation) -> str:
    counts = result.counts
    rows = f"{count(counts['rows'], 'row')} on {count(counts['keyframes'], 'keyframe')}"
    broken = ", ".join(f"{v.kind} {len(v.lines)}" for v in result.violations if len(v.lines))
    lines = [f"{arguments.detections}: {'valid' if result.valid else 'not valid'}, {rows}"]
    if broken:
        lines.append(f"rows that break a rule: {broken}")
    if "listed_keyframes" in counts:
        covered, listed = counts["covered_keyframes"], counts["listed_keyframes"]
        lines.append(f"coverage: {covered} of {listed} keyframes have detections")
    if counts["tied_rows"]:
        lines.append(
            f"{counts['tied_rows']} rows have the score of another row of their action: "
            "their order is left to chance; write more digits"
        )
    return "\n".join(lines)
