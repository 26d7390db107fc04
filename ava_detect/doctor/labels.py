"""Labels that no class has, and classes that no example has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ava_detect.doctor.findings import SHOWN, Finding, first_few
from ava_detect.doctor.people import person_numbers
from ava_detect.doctor.tables import Table

FEW = 25
"""The fewest examples of a class that AVA scores."""


def check_labels(
    table: Table,
    label_map: pd.DataFrame,
    *,
    first_label: int = 1,
    poses: Collection[int] = (),
    may_be_none: bool = False,
    shipped: bool = False,
) -> list[Finding]:
    """Ids outside of the label map, people without any known one, and two poses at once.

    Ids in the file begin with ``first_label``; in the label map with 1. ``poses`` are the ids of
    which a person has one, where that is known. ``may_be_none``: -1 says 'no action'. The ids of a
    ``shipped`` label map count from 1, whatever ``first_label`` is.
    """
    table = table.boxes
    raw = table.rows["action_id"].to_numpy()
    ids = raw + (1 - first_label)
    none = (raw == -1) & may_be_none
    negative = (raw < 0) & ~none
    zero = (raw == 0) & (first_label == 1)
    known = np.isin(ids, label_map["action_id"].to_numpy()) & (raw >= 0)
    unknown = ~known & ~zero & ~negative & ~none
    remedy = ""
    if (zero | unknown).any():
        remedy = _one_off(raw[raw >= 0], label_map["action_id"], first_label, shipped)
    found = table.find("label-zero", zero, "the id 0 is used", _label, remedy)
    found += table.find("label-negative", negative, "ids are negative", _label)
    what = f"ids are none of the {len(label_map)} of the label map"
    found += table.find("label-unknown", unknown, what, _label, remedy)
    person = person_numbers(table)
    labelled = np.zeros(int(person.max(initial=-1)) + 1, dtype=bool)
    labelled[person[known | none]] = True
    lonely = ~labelled[person] & ~pd.Series(person).duplicated().to_numpy()
    what = "people have no label that the label map knows"
    found += table.find("person-unlabelled", lonely, what, _label)
    second_pose = np.zeros(len(raw), dtype=bool)
    posing = pd.DataFrame({"person": person, "id": ids})[np.isin(ids, [*poses])].drop_duplicates()
    second_pose[posing.index[posing.groupby("person").cumcount() == 1]] = True
    found += table.find("pose-twice", second_pose, "people have two or more poses", _label)
    return found


def _one_off(raw: np.ndarray, known: pd.Series, first_label: int, shipped: bool) -> str:
    """What to do about labels of a file that fit if all are counted from another number; or ''.

    ``known`` are the ids of the label map, raised by one where ``first_label`` is 0 and the map is
    not ``shipped``.
    """
    least, most = int(raw.min(initial=1)), int(raw.max(initial=0))
    if least == 0 and most + 1 - first_label < int(known.max()):
        if not shipped and (first_label == 1 or int(known.min()) > 1):
            return (
                "the CSV counts from 0, the label map from 1, so all labels are one off: add 1 to"
                " the CSV's labels, or let the label map count from 0 too and set"
                " data.first_label=0"
            )
        if shipped and first_label == 1:
            return f"set data.first_label=0: ids here go from 0 to {most}, those of AVA from 1 on"
    if first_label == 0 and least > 0 and np.isin(raw, known).all():
        if shipped:
            return f"set data.first_label=1: ids here go from {least} to {most}, as those of AVA do"
        return (
            "the CSV counts from 1, the label map from 0, so all labels are one off: subtract 1"
            " from the CSV's labels, or let the label map count from 1 too and set"
            " data.first_label=1"
        )
    return ""


def class_counts(
    label_map: pd.DataFrame, splits: Mapping[str, list[Table]], first_label: int = 1
) -> pd.DataFrame:
    """How many people of each class a split has: ``action_id name`` and a column a split.

    The most frequent class comes first.
    """
    counts = label_map[["action_id", "name"]].copy()
    for split, tables in splits.items():
        total = np.zeros(len(label_map), dtype=np.int64)
        for table in tables:
            boxed = table.boxes
            person = person_numbers(boxed)
            ids = boxed.rows["action_id"].to_numpy() + (1 - first_label)
            pairs = pd.DataFrame({"person": person, "id": ids}).drop_duplicates()
            place = pd.Index(counts["action_id"]).get_indexer(pairs["id"])
            total += np.bincount(place[place >= 0], minlength=len(label_map))
        counts[split] = total
    order = np.argsort(-counts[[*splits]].sum(axis=1).to_numpy(), kind="stable")
    return counts.iloc[order].reset_index(drop=True)


def check_classes(counts: pd.DataFrame, setting: str) -> list[Finding]:
    """Classes that training, or only training, does not see, or hardly; see ``class_counts``."""
    if "train" not in counts or not counts["train"].any():
        return []
    train = counts["train"].to_numpy()
    val = counts["val"].to_numpy() if "val" in counts else np.zeros_like(train)
    return [
        *_classes(
            "class-unseen", setting, counts[(train == 0) & (val > 0)], "in val, not in train"
        ),
        *_classes(
            "class-empty",
            setting,
            counts[(train == 0) & (val == 0)],
            "without any training example",
        ),
        *_classes(
            "class-rare",
            setting,
            counts[(train > 0) & (train < FEW)],
            f"with fewer than {FEW} training examples",
        ),
    ]


def _classes(code: str, setting: str, some: pd.DataFrame, how: str) -> list[Finding]:
    if not len(some):
        return []
    names = [
        f"{row.action_id} {row.name_}"
        for row in some.rename(columns={"name": "name_"}).itertuples()
    ]
    what = f"classes {how}: {first_few(names, len(names))}"
    return [Finding(code, setting, what, len(names), items=tuple(names[:SHOWN]))]


def _label(row: Any) -> str:
    return f"{row.action_id} of {row.video_id} at {row.timestamp:g}"
