"""Do the person boxes of a split fit its annotations?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ava_detect.doctor.boxes import check_boxes
from ava_detect.doctor.findings import SHOWN, Finding
from ava_detect.doctor.tables import Table, empty_table, read_table, reason
from ava_detect.proposals.files import file_digest, provenance_path, read_proposals
from ava_detect.proposals.report import proposal_report
from ava_eval.errors import InputError
from ava_eval.tables import BOX, KEYFRAME_COLUMNS

LEAST_RECALL = 0.5


def read_boxes(path: Path, setting: str) -> tuple[Table, list[Finding]]:
    """The rows of a box file; of a pickle, lines are box numbers."""
    if path.suffix.lower() == ".pkl" and path.is_file():
        try:
            boxes = read_proposals(path)[0]
        except InputError as problem:
            return empty_table(path), [Finding("file-unreadable", str(path), reason(problem, path))]
        rows = boxes.rename(columns={"score": "eighth"})
        line = np.arange(1, len(rows) + 1)
        return Table(path, rows.assign(action_id=0, width=8, line=line)), []
    table, findings = read_table(path, setting, labels=False)
    return table, [*findings, *check_rows(table), *check_provenance(path)]


def check_rows(table: Table) -> list[Finding]:
    """Rows without a score, scores that are none, and boxes that cannot be."""
    boxed = table.boxes
    short = (boxed.rows["width"] != 8).to_numpy()
    score = boxed.rows["eighth"].to_numpy()
    finite = np.isfinite(score)
    range_ = finite & ((score < 0) | (score > 1)) & ~short
    return [
        *boxed.find("proposal-columns", short, "rows have no score", _columns),
        *boxed.find("score-not-finite", ~finite & ~short, "scores are no numbers", _score),
        *boxed.find("score-range", range_, "scores lie outside of [0, 1]", _score),
        *check_boxes(table),
    ]


def check_provenance(path: Path) -> list[Finding]:
    """The JSON file beside a box file, if there is one, belongs to it."""
    beside = provenance_path(path)
    if not beside.is_file() or not path.is_file():
        return []
    try:
        facts = json.loads(beside.read_text(encoding="utf-8"))
        digest = facts["sha256"] if isinstance(facts, dict) else None
    except (ValueError, RecursionError, KeyError):  # no JSON, or without a digest
        digest = None
    if digest == file_digest(path):
        return []
    what = f"the file beside it, {beside.name}, tells of other boxes: they have changed since"
    return [Finding("proposals-changed", str(path), what)]


def check_proposals(boxes: Table, tables: list[Table], excluded: Table | None) -> list[Finding]:
    """Boxes against the people and keyframes of their split; tables with ``keyframe``."""
    listed = pd.concat([table.rows for table in tables])
    if excluded is not None:
        listed = listed[~listed["keyframe"].isin(excluded.rows["keyframe"])]
    people = listed[(listed["width"] > 2).to_numpy() & _are_sound(listed)]
    rows = boxes.boxes.rows
    rows = rows[_are_sound(rows)]
    both = people["keyframe"][people["keyframe"].isin(rows["keyframe"])].unique()
    lacking = people[~people["keyframe"].isin(both)].drop_duplicates("keyframe")
    found = []
    if len(lacking):
        some = lacking.iloc[:SHOWN].itertuples(index=False)
        items = tuple(f"{row.video_id} at {row.timestamp:g}" for row in some)
        total = people["keyframe"].nunique()
        what = f"{len(lacking)} of {total} keyframes with people have no box; here {items[0]}"
        found.append(Finding("proposals-lacking", str(boxes.path), what, len(lacking), items=items))
    unlisted = ~boxes.rows["keyframe"].isin(listed["keyframe"]).to_numpy()
    what = "boxes are on keyframes that the split does not list, or excludes"
    found += boxes.find("proposals-unlisted", unlisted, what, _moment)
    if len(people):
        found += _check_recall(boxes, rows, people, both)
    return found


def _check_recall(
    boxes: Table, rows: pd.DataFrame, people: pd.DataFrame, both: np.ndarray
) -> list[Finding]:
    """Whether boxes lie on people, where there are both; scores do not matter here."""
    if not len(rows):
        return []
    if not len(both):
        what = "no keyframe with people has a box: recall 0"
        return [Finding("proposals-astray", str(boxes.path), what)]
    some = people[people["keyframe"].isin(both)]
    scored = rows[[*KEYFRAME_COLUMNS, *BOX]].assign(score=1.0)
    report = proposal_report(scored, some, some[KEYFRAME_COLUMNS])
    recall = report["thresholds"][0]["recall"]
    if recall >= LEAST_RECALL:
        return []
    what = (
        f"boxes do not lie on people: at an overlap (IoU) of 0.5 they find {recall:.0%} of the"
        f" {report['people']} people of the {len(both)} keyframes that have both"
    )
    return [Finding("proposals-astray", str(boxes.path), what)]


def _are_sound(rows: pd.DataFrame) -> np.ndarray:
    """Rows whose boxes have an area; others are told of elsewhere."""
    boxes = rows[BOX].to_numpy(np.float64)
    return (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & np.isfinite(boxes).all(axis=1)


def _columns(row: Any) -> str:
    return f"{row.width} columns"


def _score(row: Any) -> str:
    return f"{row.eighth:g}"


def _moment(row: Any) -> str:
    return f"{row.video_id} at {row.timestamp:g}"
