"""What the splits share, and what is excluded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ava_detect.doctor.findings import SHOWN, Finding, first_few
from ava_detect.doctor.tables import Table

Pair = tuple[str, list[Table]]


def check_overlap(
    splits: Mapping[str, list[Table]], same: Callable[[str, str], str]
) -> list[Finding]:
    """Keyframes and videos that two splits have; tables with ``keyframe``.

    ``same(split, video_id)`` is equal for two ids of one video.
    """
    names = [name for name, tables in splits.items() if any(len(t.rows) for t in tables)]
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    found = []
    for one, other in pairs:
        found += _shared_keyframes((one, splits[one]), (other, splits[other]))
        if one == "train":
            found += _shared_videos((one, splits[one]), (other, splits[other]), same)
    return found


def check_excluded(
    excluded: Table, split: str, tables: list[Table], has_list: bool
) -> list[Finding]:
    """Exclusions that exclude nothing, and annotations that they take out.

    A split with a list of keyframes (``has_list``) should list what it excludes; annotations have
    no rows there, so that without a list only the video can be known.
    """
    if not len(excluded.rows):
        return []
    rows = pd.concat([table.rows for table in tables]) if tables else excluded.rows[:0]
    key = "keyframe" if has_list else "video_id"
    unlisted = ~excluded.rows[key].isin(rows[key]).to_numpy()
    found = excluded.find(
        "excluded-unlisted",
        unlisted,
        f"keyframes are excluded that no file of {split} lists",
        _moment,
    )
    for table in tables:
        boxed = table.boxes
        marks = boxed.rows["keyframe"].isin(excluded.rows["keyframe"]).to_numpy()
        count = boxed.rows["keyframe"][marks].nunique()
        what = f"{count} annotated keyframes are excluded by {excluded.path}"
        found += boxed.find("excluded-annotated", marks, what, _moment)
    return found


def check_left(
    excluded: list[Table], split: str, annotations: list[Table], listed: list[Table]
) -> list[Finding]:
    """Whether exclusions leave nothing of a split: no annotated, or no listed keyframe."""
    people = [table.boxes for table in annotations]
    for table in excluded:
        for tables, kind in ((people, "annotated"), (listed, "listed")):
            keys = pd.concat([some.rows["keyframe"] for some in tables]) if tables else pd.Series()
            if len(keys) and keys.isin(table.rows["keyframe"]).all():
                count = keys.nunique()
                what = f"all {count} {kind} keyframes of {split} are excluded"
                return [Finding("nothing-left", str(table.path), what, count)]
    return []


def _shared_keyframes(one: Pair, other: Pair) -> list[Finding]:
    known = np.unique(np.concatenate([table.rows["keyframe"] for table in one[1]]))
    code = "split-keyframe" if one[0] == "train" else "split-same-keyframe"
    found = []
    for table in other[1]:
        firsts = Table(table.path, table.rows.drop_duplicates("keyframe"))
        marks = np.isin(firsts.rows["keyframe"], known)
        what = f"keyframes of {other[0]} are in {one[0]} too"
        found += firsts.find(code, marks, what, _moment)
    return found


def _shared_videos(one: Pair, other: Pair, same: Callable[[str, str], str]) -> list[Finding]:
    """Videos of both, without those of which a keyframe is in both (``_shared_keyframes``)."""
    spans = [_spans(name, tables, same) for name, tables in (one, other)]
    both = spans[0].add_suffix("_one").join(spans[1].add_suffix("_other"), how="inner")
    if not len(both):
        return []
    apart = (both["last_one"] < both["first_other"]) | (both["last_other"] < both["first_one"])
    found = []
    for code, some, how in (
        ("split-video", both[~apart], "with seconds of one between those of the other"),
        ("split-video-apart", both[apart], "with seconds that do not overlap"),
    ):
        for where, rows in some.groupby("file_other", sort=False):
            names = rows["name_other"].tolist()
            what = f"videos are in {one[0]} and {other[0]}, {how}: {first_few(names, len(names))}"
            lines = tuple(rows["line_other"].tolist()[:SHOWN])
            found.append(Finding(code, str(where), what, len(names), lines, tuple(names[:SHOWN])))
    return found


def _spans(split: str, tables: list[Table], same: Callable[[str, str], str]) -> pd.DataFrame:
    """First and last timestamp of each video of a split, and where it is named first."""
    rows = pd.concat([table.rows.assign(file=str(table.path)) for table in tables])
    groups = rows.groupby("video_id", sort=False)
    spans = pd.DataFrame(
        {
            "first": groups["timestamp"].min(),
            "last": groups["timestamp"].max(),
            "file": groups["file"].first(),
            "line": groups["line"].first(),
        }
    )
    spans["name"] = spans.index
    return spans.rename(index=lambda video_id: same(split, video_id))


def _moment(row: Any) -> str:
    return f"{row.video_id} at {row.timestamp:g}"
