"""All checks of a data set, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ava_detect.doctor.boxes import check_boxes
from ava_detect.doctor.findings import Finding
from ava_detect.doctor.inputs import Meaning, SplitFiles
from ava_detect.doctor.labels import check_classes, check_labels, class_counts
from ava_detect.doctor.names import check_names
from ava_detect.doctor.people import check_people, person_numbers
from ava_detect.doctor.probes import path_of, probe_videos
from ava_detect.doctor.proposals import check_proposals
from ava_detect.doctor.report import Report, SplitFacts
from ava_detect.doctor.split import Split, number_keyframes, read_split
from ava_detect.doctor.splits import check_excluded, check_left, check_overlap
from ava_detect.doctor.tables import Table
from ava_detect.doctor.times import check_times
from ava_detect.doctor.videos import check_listed, check_probes, check_unnamed
from ava_eval.errors import InputError
from ava_eval.tables import KEYFRAME_COLUMNS

SKIPPED = ("video-missing", "video-broken")
"""Faults that only cost their own keyframes with data.on_error=skip."""
Progress = Callable[[str, int, int], None]


def check_up(
    splits: Sequence[SplitFiles], meaning: Meaning, progress: Progress | None = None
) -> Report:
    """Read everything that the splits name, and tell all that is wrong with it."""
    findings: list[Finding] = []
    read = [read_split(files, findings) for files in splits]
    number_keyframes(read)
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
                    shipped=meaning.shipped,
                )
        if split.files.videos is not None:
            findings += _check_videos(split, meaning, progress)
    findings += _unnamed_videos(read)
    tables = {split.files.name: [*split.listed, *split.labelled] for split in read}
    findings += check_overlap(tables, _same(read))
    for split in read:
        for table in split.excluded:
            findings += check_excluded(
                table, split.files.name, split.listed, split.files.keyframes is not None
            )
        findings += check_left(split.excluded, split.files.name, split.annotations, split.listed)
        for table in split.proposals:
            if len(table.rows) and split.listed:
                findings += check_proposals(table, split.listed, next(iter(split.excluded), None))
    counts = pd.DataFrame()
    if meaning.classes is not None:
        people = {split.files.name: split.annotations for split in read}
        counts = class_counts(meaning.classes, people, meaning.first_label)
        # From here on as the label map's file has them: so does data.classes.
        counts["action_id"] += 0 if meaning.shipped else meaning.first_label - 1
        findings += check_classes(counts, "data.label_map")
    if meaning.skips:
        findings = [
            replace(finding, own_severity="warning") if finding.code in SKIPPED else finding
            for finding in findings
        ]
    return Report(_without_repetitions(findings), [_facts(split) for split in read], counts)


def _check_videos(split: Split, meaning: Meaning, progress: Progress | None) -> list[Finding]:
    """Open the videos of a split, and hold its tables against them."""
    files = split.files
    assert files.videos is not None
    try:
        library = files.videos()
    except InputError as problem:
        if files.frame_list is None:
            return [Finding("folder-missing", files.folder, str(problem))]
        code = "file-unreadable" if files.frame_list.is_file() else "file-missing"
        return [Finding(code, f"data.{files.name}.frame_list", str(problem))]
    split.library = library
    remedy = "run `ava-detect prepare` again" if files.prepared else ""
    tables = [*split.listed, *split.labelled]
    found: list[Finding] = []
    there: set[str] = set()
    for table in tables:
        names, findings = check_names(table, library, remedy)
        there |= names
        split.used |= {path_of(library, name) for name in table.rows["video_id"].unique()}
        found += findings
    stamps: dict[str, np.ndarray] = {}
    if tables:
        wanted = pd.concat([table.rows[[*KEYFRAME_COLUMNS, "keyframe"]] for table in tables])
        excluded = np.concatenate([np.zeros(0), *(t.rows["keyframe"] for t in split.excluded)])
        for name, rows in wanted.groupby("video_id", sort=False):
            if name in there:  # with what is read of it
                read = rows[~rows["keyframe"].isin(excluded)]
                stamps[str(name)] = read["timestamp"].to_numpy()

    def told(done: int, total: int) -> None:
        if progress is not None:
            progress(files.name, done, total)

    split.probes = probe_videos(library, stamps, meaning.timebase, meaning.clip, told)
    probes = list(split.probes.values())
    found += check_probes(probes, files.folder, meaning.timebase, meaning.clip)
    if files.frame_list is not None:
        found += check_listed(probes, files.name, files.frames)
    for table in tables:
        found += check_times(table, split.probes, meaning.timebase, meaning.start)
    return found


def _unnamed_videos(splits: list[Split]) -> list[Finding]:
    """Videos that no split names; nothing where not all that names videos could be read."""
    opened = [split for split in splits if split.files.videos is not None]
    if any(split.unread or split.library is None for split in opened):
        return []
    used = {path for split in opened for path in split.used}
    found = []
    for split in opened:
        if split.library is not None:
            found += check_unnamed(split.library, used, split.files.folder)
    return found


def _same(splits: list[Split]) -> Callable[[str, str], str]:
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


def _facts(split: Split) -> SplitFacts:
    """Counts of a split, without what is excluded."""
    excluded = np.concatenate([np.zeros(0), *(t.rows["keyframe"] for t in split.excluded)])
    listed = [_without(table, excluded) for table in split.listed]
    people = labels = 0
    for table in (_without(table, excluded).boxes for table in split.annotations):
        people += len(np.unique(person_numbers(table)))
        labels += len(table.rows)
    videos = {name for table in listed for name in table.rows["video_id"].unique()}
    whole = [split.probes[name].seconds for name in videos if name in split.probes]
    is_looked_at = split.files.videos is not None
    return SplitFacts(
        name=split.files.name,
        videos=len(whole) if is_looked_at else len(videos),
        hours=None if split.library is None else sum(whole) / 3600,
        keyframes=len({key for table in listed for key in table.rows["keyframe"].unique()}),
        people=people,
        labels=labels,
        proposals=sum(len(t.boxes.rows) for t in split.proposals) if split.proposals else None,
    )


def _without(table: Table, excluded: np.ndarray) -> Table:
    return Table(table.path, table.rows[~table.rows["keyframe"].isin(excluded)])
