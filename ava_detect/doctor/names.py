"""Ids of the tables against the videos that are there."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from ava_detect.clips import VideoLibrary
from ava_detect.doctor.findings import SHOWN, Finding, first_few
from ava_detect.doctor.tables import Table
from ava_eval.errors import InputError


def check_names(
    table: Table, library: VideoLibrary, remedy: str = ""
) -> tuple[set[str], list[Finding]]:
    """The ids of a table that have a video, and findings of the others.

    ``remedy`` tells what to do where there is none; '' for the usual.
    """
    rows = table.rows
    first = rows[~rows["video_id"].duplicated()]
    sizes = rows["video_id"].value_counts()
    there: set[str] = set()
    missing: dict[str, int] = {}
    findings = []
    for video_id, line in zip(first["video_id"], first["line"], strict=True):
        try:
            if library.has(video_id):
                there.add(video_id)
            else:
                missing[video_id] = int(line)
        except InputError as problem:
            findings.append(Finding("video-twice", str(table.path), str(problem), 1, (int(line),)))
    if missing:
        shown = list(missing)[:SHOWN]
        words = [f"{name!r} ({sizes[name]} rows){_nearest(name, library)}" for name in shown]
        what = f"no video has the id {first_few(words, len(missing))}"
        lines = tuple(missing[name] for name in shown)
        findings.append(
            Finding(
                "video-missing", str(table.path), what, len(missing), lines, tuple(shown), remedy
            )
        )
    return there, findings


def _nearest(video_id: str, library: VideoLibrary) -> str:
    """Which video may be meant."""
    ids = library.video_ids
    lower = {name.lower(): name for name in ids}
    bare = video_id.strip()
    for name in (bare, Path(bare).stem):
        if name.lower() in lower:
            return f", did you mean {lower[name.lower()]!r}?"
    close = get_close_matches(bare, ids, n=1, cutoff=0.7)
    return f", did you mean {close[0]!r}?" if close else ""
