"""All checks of a data set, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ava_detect.clips import VideoLibrary
from ava_detect.doctor.boxes import check_boxes
from ava_detect.doctor.findings import Finding
from ava_detect.doctor.inputs import Meaning, SplitFiles
from ava_detect.doctor.labels import check_classes, check_labels, class_counts
from ava_detect.doctor.names import check_names
from ava_detect.doctor.people import check_people, person_numbers
from ava_detect.doctor.proposals import check_proposals, check_rows, read_boxes
from ava_detect.doctor.report import Report, SplitFacts
from ava_detect.doctor.splits import check_excluded, check_overlap
from ava_detect.doctor.tables import Table, read_table
from ava_detect.doctor.times import check_times
from ava_detect.doctor.videos import (
    Probe,
    check_probes,
    check_unnamed,
    probe_videos,
)
from ava_eval.errors import InputError
from ava_eval.keyframes import keyframe_codes
from ava_eval.tables import KEYFRAME_COLUMNS

Progress = Callable[[str, int, int], None]


@dataclass
class _Split:
    """The tables of a split, and what was found on the way."""

    files: SplitFiles
    annotations: list[Table] = field(default_factory=list)
    labelled: list[Table] = field(default_factory=list)
    keyframes: list[Table] = field(default_factory=list)
    excluded: list[Table] = field(default_factory=list)
    proposals: list[Table] = field(default_factory=list)
    library: VideoLibrary | None = None
    probes: Mapping[str, Probe] = field(default_factory=dict)

    @property
    def listed(self) -> list[Table]:
        """The tables whose rows make the split's keyframes."""
        return [*self.annotations, *self.keyframes]

    @property
    def all_tables(self) -> list[Table]:
        return [*self.listed, *self.labelled, *self.excluded, *self.proposals]


def check_up(
    splits: Sequence[SplitFiles], meaning: Meaning, progress: Progress | None = None
) -> Report:
    """Read everything that the splits name, and tell all that is wrong with it."""
    findings: list[Finding] = []
    read = [_read(files, findings) for files in splits]
    _number_keyframes(read)
    for split in read:
        for table in split.annotations:
            findings += [*check_boxes(table), *check_people(table)]
        for table in split.annotations + split.labelled:
            if meaning.known is not None:
                findings += check_labels(
                    table,
                    meaning.known,
                    first_label=meaning.first_label,
                    poses=meaning.poses,
                    may_be_none=any(table is other for other in split.labelled),
                )
        if split.files.videos is not None:
            findings += _check_videos(split, meaning, progress)
    findings += _unnamed_videos(read)
    findings += check_overlap({split.files.name: split.listed for split in read}, _same(read))
    for split in read:
        for table in split.excluded:
            findings += check_excluded(
                table, split.files.name, split.listed, split.files.keyframes is not None
            )
        for table in split.proposals:
            if len(table.rows) and split.listed:
                findings += check_proposals(table, split.listed, next(iter(split.excluded), None))
    counts = pd.DataFrame()
    if meaning.classes is not None:
        people = {split.files.name: split.annotations for split in read}
        counts = class_counts(meaning.classes, people, meaning.first_label)
        findings += check_classes(counts, "data.label_map")
    return Report(_without_repetitions(findings), [_facts(split) for split in read], counts)


def _read(files: SplitFiles, findings: list[Finding]) -> _Split:
    """Read the CSVs of a split as far as they can be read."""
    split, setting = _Split(files), f"data.{files.name}"
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
    if files.proposals is not None:
        boxes = read_boxes(files.proposals, f"{setting}.proposals")
        split.proposals.append(_keep(boxes, findings))
    return split


def _keep(read: tuple[Table, list[Finding]], findings: list[Finding]) -> Table:
    findings += read[1]
    return read[0]


def _number_keyframes(splits: list[_Split]) -> None:
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


def _check_videos(split: _Split, meaning: Meaning, progress: Progress | None) -> list[Finding]:
    """Open the videos of a split, and hold its tables against them."""
    files = split.files
    assert files.videos is not None
    try:
        library = files.videos()
    except InputError as problem:
        return [Finding("folder-missing", files.folder, str(problem))]
    split.library = library
    tables = [*split.listed, *split.labelled]
    found: list[Finding] = []
    there: set[str] = set()
    for table in tables:
        names, findings = check_names(table, library)
        there |= names
        found += findings
    wanted = pd.concat([table.rows[KEYFRAME_COLUMNS] for table in tables]) if tables else None
    stamps: dict[str, np.ndarray] = {}
    if wanted is not None:
        groups = wanted.groupby("video_id", sort=False)["timestamp"]
        stamps = {str(name): some.to_numpy() for name, some in groups if name in there}

    def told(done: int, total: int) -> None:
        if progress is not None:
            progress(files.name, done, total)

    split.probes = probe_videos(library, stamps, meaning.timebase, told)
    probes = list(split.probes.values())
    found += check_probes(probes, files.folder, meaning.timebase, meaning.clip)
    for table in tables:
        found += check_times(table, split.probes, meaning.timebase, meaning.start)
    return found


def _unnamed_videos(splits: list[_Split]) -> list[Finding]:
    """Videos that no split with the same folder names."""
    found = []
    for folder in dict.fromkeys(split.files.folder for split in splits):
        sharing = [split for split in splits if split.files.folder == folder and split.library]
        if sharing and sharing[0].library is not None:
            named = {name for split in sharing for name in split.probes}
            found += check_unnamed(sharing[0].library, named, folder)
    return found


def _same(splits: list[_Split]) -> Callable[[str, str], str]:
    """What is equal for two ids of one video: its file where that was looked at, else the id."""
    probes = {split.files.name: split.probes for split in splits}

    def same(split: str, video_id: str) -> str:
        probe = probes[split].get(video_id)
        return video_id if probe is None else probe.path

    return same


def _without_repetitions(findings: list[Finding]) -> list[Finding]:
    """Each finding once: splits may share files and videos."""
    once: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        once.setdefault((finding.code, finding.where, finding.lines, finding.items), finding)
    return list(once.values())


def _facts(split: _Split) -> SplitFacts:
    """Counts of a split, without what is excluded."""
    excluded = np.concatenate([np.zeros(0), *(t.rows["keyframe"] for t in split.excluded)])
    listed = [_without(table, excluded) for table in split.listed]
    people = labels = 0
    for table in (_without(table, excluded).boxes for table in split.annotations):
        people += len(np.unique(person_numbers(table)))
        labels += len(table.rows)
    videos = {name for table in listed for name in table.rows["video_id"].unique()}
    whole = [split.probes[name].seconds for name in videos if name in split.probes]
    return SplitFacts(
        name=split.files.name,
        videos=len(videos),
        hours=None if split.library is None else sum(whole) / 3600,
        keyframes=len({key for table in listed for key in table.rows["keyframe"].unique()}),
        people=people,
        labels=labels,
        proposals=sum(len(t.boxes.rows) for t in split.proposals) if split.proposals else None,
    )


def _without(table: Table, excluded: np.ndarray) -> Table:
    return Table(table.path, table.rows[~table.rows["keyframe"].isin(excluded)])
