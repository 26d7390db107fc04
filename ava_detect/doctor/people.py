"""People who are annotated twice, and their ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from ava_detect.doctor.findings import Finding
from ava_detect.doctor.tables import Table
from ava_eval.tables import BOX

MOST_WHOLE = 2.0**53


def check_people(table: Table) -> list[Finding]:
    """Rows, people and boxes of one keyframe that repeat each other; tables with ``keyframe``."""
    table = table.boxes
    rows = table.rows
    whole = _are_whole(rows["eighth"].to_numpy())
    found = table.find(
        "person-id",
        (rows["width"] == 8).to_numpy() & ~whole,
        "person ids are no whole numbers",
        lambda row: f"{row.eighth:g}",
    )
    rows = rows.assign(person=np.where(whole & (rows["width"] == 8), rows["eighth"], -1))
    again = rows.duplicated(["keyframe", "person", *BOX, "action_id"]).to_numpy()
    found += table.find(
        "row-twice", again, "rows give a person the same action a second time", _action
    )
    known = rows[rows["person"] >= 0].drop_duplicates(["keyframe", "person", *BOX])
    people = Table(table.path, known)
    twice = known.duplicated(["keyframe", "person"]).to_numpy()
    found += people.find(
        "person-twice", twice, "a person has two different boxes on one keyframe", _person
    )
    shared = known.duplicated(["keyframe", *BOX]).to_numpy()
    found += people.find(
        "box-shared", shared, "two people of one keyframe have exactly the same box", _person
    )
    return found


def person_numbers(table: Table) -> np.ndarray:
    """A number for each row with a box: the same for the rows of one person on one keyframe."""
    rows = table.rows
    eighth = rows["eighth"].where(rows["width"] == 8, -1.0)
    keys = rows[["keyframe", *BOX]].assign(person=eighth)
    return keys.groupby([*keys.columns], sort=False, dropna=False).ngroup().to_numpy()


def _are_whole(values: np.ndarray) -> np.ndarray:
    return (np.abs(values) < MOST_WHOLE) & (np.rint(values) == values)


def _action(row: Any) -> str:
    return f"action {row.action_id} of {row.video_id} at {row.timestamp:g}"


def _person(row: Any) -> str:
    return f"person {row.person:g} of {row.video_id} at {row.timestamp:g}"
