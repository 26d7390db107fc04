"""The tables of a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ava_detect.clips import VideoLibrary
from ava_detect.doctor.findings import Finding
from ava_detect.doctor.inputs import SplitFiles
from ava_detect.doctor.probes import Probe
from ava_detect.doctor.proposals import check_rows, read_boxes
from ava_detect.doctor.tables import Table, read_table
from ava_eval.keyframes import keyframe_codes
from ava_eval.tables import KEYFRAME_COLUMNS


@dataclass
class Split:
    """The tables of a split, and what was found on the way.

    Attributes:
        library: of its videos; None where they are not looked at, or cannot be opened.
        probes: of the videos that its tables name.
        used: paths of these videos.
        unread: whether a table that names videos has no row that can be read.
    """

    files: SplitFiles
    annotations: list[Table] = field(default_factory=list)
    labelled: list[Table] = field(default_factory=list)
    keyframes: list[Table] = field(default_factory=list)
    excluded: list[Table] = field(default_factory=list)
    proposals: list[Table] = field(default_factory=list)
    library: VideoLibrary | None = None
    probes: Mapping[str, Probe] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    unread: bool = False

    @property
    def listed(self) -> list[Table]:
        """The tables whose rows make the split's keyframes."""
        return [*self.annotations, *self.keyframes]

    @property
    def all_tables(self) -> list[Table]:
        return [*self.listed, *self.labelled, *self.excluded, *self.proposals]


def read_split(files: SplitFiles, findings: list[Finding]) -> Split:
    """Read the CSVs of a split as far as they can be read."""
    split, setting = Split(files), f"data.{files.name}"
    for path in files.annotations:
        split.annotations.append(_keep(read_table(path, f"{setting}.annotations"), findings))
    for path in files.labelled_boxes:
        table = _keep(read_table(path, f"{setting}.labelled_boxes"), findings)
        findings += check_rows(table)
        split.labelled.append(table)
    if files.keyframes is not None:
        split.keyframes.append(_keep(read_table(files.keyframes, f"{setting}.keyframes"), findings))
    if files.excluded is not None:
        split.excluded.append(_keep(read_table(files.excluded, f"{setting}.excluded"), findings))
    named = [*split.annotations, *split.labelled, *split.keyframes]
    split.unread = any(not len(table.rows) for table in named)
    if files.proposals is not None:
        boxes = read_boxes(files.proposals, f"{setting}.proposals")
        split.proposals.append(_keep(boxes, findings))
    return split


def _keep(read: tuple[Table, list[Finding]], findings: list[Finding]) -> Table:
    findings += read[1]
    return read[0]


def number_keyframes(splits: list[Split]) -> None:
    """Number the keyframes of all tables together, and leave out rows without a moment."""
    tables = [table for split in splits for table in split.all_tables]
    codes = keyframe_codes(*(table.rows[KEYFRAME_COLUMNS] for table in tables)) if tables else []
    numbered = {
        id(table): Table(
            table.path,
            table.rows.assign(keyframe=code)[np.isfinite(table.rows["timestamp"])],
        )
        for table, code in zip(tables, codes, strict=True)
    }
    for split in splits:
        for kind in ("annotations", "labelled", "keyframes", "excluded", "proposals"):
            setattr(split, kind, [numbered[id(table)] for table in getattr(split, kind)])
