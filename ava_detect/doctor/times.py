"""Do the videos show what the tables speak of?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ava_detect.doctor.findings import Finding
from ava_detect.doctor.probes import Probe
from ava_detect.doctor.rules import RULES
from ava_detect.doctor.tables import Table
from ava_detect.timebase import Timebase, time_span

USUAL_STARTS = (900.0, 0.0)
"""Of AVA's cut segments, and of all other videos."""
Spans = Sequence[tuple[np.ndarray, np.ndarray]]


def check_times(
    table: Table, probes: Mapping[str, Probe], timebase: Timebase, start: float
) -> list[Finding]:
    """Rows whose moment the video does not show; ``start`` is data.timebase.start."""
    stamps = table.rows["timestamp"].to_numpy()
    outside = np.zeros(len(stamps), dtype=bool)
    late, of_images = outside.copy(), outside.copy()
    spans: list[tuple[np.ndarray, np.ndarray]] = []
    odd: list[tuple[np.ndarray, np.ndarray]] = []
    for video_id, rows in table.rows.groupby("video_id").indices.items():
        probe = probes.get(str(video_id))
        if probe is None or not len(probe.times):
            continue
        rows = rows[np.isfinite(stamps[rows])]
        outside[rows] = ~timebase.is_inside(stamps[rows], probe.times)
        late[rows] = stamps[rows] > _middle(probe.times, timebase)
        of_images[rows] = probe.is_folder
        spans.append((stamps[rows], probe.times))
        odd.append((stamps[rows[outside[rows]]], probe.times))
    if not outside.any():
        return _check_whole_films(table, spans, timebase, start)
    before, after = int((outside & ~late).sum()), int((outside & late).sum())
    what = f"the video does not show these moments ({before} rows before it, {after} behind it)"
    most = bool(outside.sum() > sum(len(some) for some, _ in spans) / 2)
    images_end = bool((outside & late & of_images).any()) and timebase.unit == "seconds"
    remedy = _remedy(spans, odd, timebase, start, most, images_end)

    def show(row: Any) -> str:
        shown = timebase.shown(probes[row.video_id].times)
        return f"{row.video_id} at {timebase.moment(row.timestamp)}, which shows {shown}"

    return table.find("time-outside", outside, what, show, remedy)


def _check_whole_films(
    table: Table, spans: Spans, timebase: Timebase, start: float
) -> list[Finding]:
    """Videos that all go on for long behind their last keyframe, as a film that was not cut does.

    Nothing fails then, but all clips are of other moments.
    """
    if timebase.unit == "frames" or start <= 0 or not spans:
        return []
    left = [time_span(times)[1] - float(stamps.max()) for stamps, times in spans]
    whole = [(stamps, times - start) for stamps, times in spans]
    if min(left) <= start / 2 or not _all_inside(whole, timebase):
        return []
    what = (
        f"data.timebase.start={start:g}, but videos go on for {min(left):g} s or more behind their"
        " last keyframe, and show all keyframes if they begin at 0 as well"
    )
    return [Finding("time-shifted", str(table.path), what, len(spans))]


def _remedy(
    spans: Spans, odd: Spans, timebase: Timebase, start: float, most: bool, images_end: bool
) -> str:
    """What to do about rows outside of their videos, ``odd``, among all, ``spans``; or ''.

    ``most`` rows are, or rows lie behind the end of folders of images (``images_end``).
    """
    hint, frames = likely_start(spans, timebase, start) if most else "", ""
    if timebase.unit == "frames":
        hint = hint or likely_frames(spans, timebase)
    elif _exceed_seconds(spans):
        frames = likely_frames(odd, timebase)
        if most and not images_end:
            hint = hint or likely_frames(spans, timebase)
    if hint:
        return f"set {hint}: then the videos show them all"
    advice = []
    if images_end:
        fps = f"data.timebase.fps={timebase.fps:g}"
        advice.append(
            f"were these images extracted at another rate than {fps}? then set data.timebase.fps"
        )
    if frames:
        advice.append(f"do the timestamps count frames? then set {frames}")
    return "; ".join([*advice, "else " + RULES["time-outside"].remedy]) if advice else ""


def likely_start(spans: Spans, timebase: Timebase, start: float) -> str:
    """The setting of a usual start with which videos f64[N] show all timestamps f64[K]; or ''."""
    seconds = Timebase(timebase.fps)
    for other in USUAL_STARTS:
        if timebase.unit == "frames" or other != start:
            moved = [(stamps, times + (other - start)) for stamps, times in spans]
            if _all_inside(moved, seconds):
                unit = "data.timebase.unit=seconds " if timebase.unit == "frames" else ""
                return f"{unit}data.timebase.start={other:g}"
    return ""


def likely_frames(spans: Spans, timebase: Timebase) -> str:
    """The setting with which all timestamps f64[K] are frames of their videos f64[N]; or ''."""
    for first in (1, 0):
        frames = Timebase(timebase.fps, "frames", first)
        if _all_inside(spans, frames):
            more = "" if first == 1 else " data.timebase.first_frame=0"
            return f"data.timebase.unit=frames{more}"
    return ""


def _exceed_seconds(spans: Spans) -> bool:
    """Whether some timestamps are further apart than seconds of their video can be."""
    for stamps, times in spans:
        first, end = time_span(times)
        if len(stamps) and np.ptp(stamps) > end - first + 1:
            return True
    return False


def _all_inside(spans: Spans, timebase: Timebase) -> bool:
    return all(timebase.is_inside(stamps, times).all() for stamps, times in spans)


def _middle(times: np.ndarray, timebase: Timebase) -> float:
    """The timestamp halfway through a video."""
    if timebase.unit == "frames":
        return timebase.first_frame + len(times) / 2
    first, end = time_span(times)
    return (first + end) / 2
