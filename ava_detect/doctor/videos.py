"""A look at each video: is it there, whole, and can its keyframes be read?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ava_detect.clips import Video, VideoLibrary
from ava_detect.clips.frame_folder import FrameFolder, is_image, number_in
from ava_detect.doctor.findings import SHOWN, Finding, first_few
from ava_detect.timebase import Timebase, time_span
from ava_eval.errors import InputError

UNSTEADY = 0.01
"""Where more than this part of the gaps differs by a quarter from most, the rate varies."""
FAR = 0.1
"""A rate that differs by more than this part is another one."""
SAMPLED = 16
"""So many images of a folder, spread over it, are looked at."""


@dataclass(frozen=True, eq=False)
class Probe:
    """What a look at one video gave; ``times`` f64[N] of its frames, in the tables' seconds."""

    video_id: str
    path: str
    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    lost_frames: int = 0
    broken: str = ""
    undecodable: str = ""
    odd_size: str = ""

    @property
    def seconds(self) -> float:
        """How long it is."""
        first, end = time_span(self.times) if len(self.times) else (0.0, 0.0)
        return end - first

    @property
    def rate(self) -> float:
        """Frames a second, as most of them follow each other."""
        gaps = np.diff(self.times)
        return 1 / float(np.median(gaps)) if len(gaps) else 0.0

    @property
    def is_steady(self) -> bool:
        """Whether nearly all frames are shown for as long."""
        gaps = np.diff(self.times)
        usual = np.median(gaps) if len(gaps) else 0.0
        return not len(gaps) or float((abs(gaps - usual) > usual / 4).mean()) <= UNSTEADY


def probe_videos(
    library: VideoLibrary,
    timestamps: Mapping[str, np.ndarray],
    timebase: Timebase,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Probe]:
    """Look at the videos of some ids, at each with its keyframes' ``timestamps`` f64[K]."""

    def probe(video_id: str) -> Probe:
        return probe_video(library, video_id, timestamps[video_id], timebase)

    probes = {}
    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
        for probed in pool.map(probe, timestamps):
            probes[probed.video_id] = probed
            if progress is not None:
                progress(len(probes), len(timestamps))
    return probes


def probe_video(
    library: VideoLibrary, video_id: str, timestamps: np.ndarray, timebase: Timebase
) -> Probe:
    """Index a video, and decode its first, middle and last keyframe."""
    path = _path_of(library, video_id)
    try:
        times = library.frame_times(video_id)
    except InputError as problem:
        return Probe(video_id, path, broken=str(problem))
    inside = np.unique(timestamps[timebase.is_inside(timestamps, times)])
    chosen = (
        inside[np.unique(np.linspace(0, len(inside) - 1, 3).astype(int))] if len(inside) else []
    )
    numbers = [int(timebase.clip_frames(float(t), times, 1, 0)[0]) for t in chosen]
    undecodable = odd_size = ""
    video = library.video(video_id)
    is_folder = isinstance(video, FrameFolder)
    if is_folder:
        numbers += np.unique(np.linspace(0, len(times) - 1, SAMPLED).astype(int)).tolist()
    # All in one pass; only where that fails one by one, to tell which.
    numbers = sorted(set(numbers))
    unread = [] if _why_unread(video, numbers) is None else numbers
    for number in unread:
        reason = _why_unread(video, [number])
        if reason is not None:
            if is_folder and _is_picture(Path(path), number):
                odd_size = odd_size or reason
            else:
                undecodable = undecodable or f"frame {number}: {reason}"
    lost = 0
    if is_folder:
        fps = library.frames_fps
        from_0 = np.rint(video.times * fps)
        lost = int(from_0[-1]) + 1 - len(times)
    return Probe(video_id, path, times, lost, "", undecodable, odd_size)


def _why_unread(video: Video, numbers: Sequence[int]) -> str | None:
    """What keeps frames of ascending numbers from being read; None if nothing does."""
    try:
        for _ in video.walk(np.array(numbers, np.int64)):
            pass
    except InputError as problem:
        return str(problem)
    return None


def check_probes(
    probes: Sequence[Probe], folder: str, timebase: Timebase, clip: tuple[int, int]
) -> list[Finding]:
    """What is wrong with the videos of ``folder``; ``clip`` is num_frames, sampling_rate."""
    found = []
    for probe in probes:
        for code, text in (
            ("video-broken", probe.broken),
            ("video-undecodable", probe.undecodable),
            ("frame-size", probe.odd_size),
        ):
            if text:
                found.append(Finding(code, probe.path, text, items=(probe.video_id,)))
        if probe.lost_frames:
            what = f"{probe.lost_frames} of {probe.lost_frames + len(probe.times)} images are lost"
            found.append(
                Finding(
                    "frame-gaps",
                    probe.path,
                    f"numbers are missing among the images: {what}",
                    probe.lost_frames,
                    items=(probe.video_id,),
                )
            )
    whole = [probe for probe in probes if not probe.broken]
    return [*found, *_short(whole, folder, timebase, clip), *_rates(whole, folder, timebase)]


def check_unnamed(library: VideoLibrary, named: set[str], folder: str) -> list[Finding]:
    """Videos of the folder that no table names."""
    used = {_path_of(library, video_id) for video_id in named}
    others = [name for name in library.video_ids if _path_of(library, name) not in used]
    if not others:
        return []
    what = f"videos that no CSV names: {first_few(others, len(others))}"
    return [Finding("video-unnamed", folder, what, len(others), items=tuple(others[:SHOWN]))]


def _short(
    probes: Sequence[Probe], folder: str, timebase: Timebase, clip: tuple[int, int]
) -> Iterator[Finding]:
    num_frames, rate = clip
    span = (num_frames - 1) * rate
    short = [
        probe
        for probe in probes
        if (len(probe.times) if timebase.unit == "frames" else probe.seconds * timebase.fps) < span
    ]
    if short:
        one = short[0]
        need = f"{span} frames" if timebase.unit == "frames" else f"{span / timebase.fps:.2f} s"
        what = (
            f"videos are shorter than a clip of {num_frames} frames, {need}; here"
            f" {one.video_id}, {len(one.times)} frames, {one.seconds:.2f} s"
        )
        yield Finding("video-short", folder, what, len(short), items=_ids(short))


def _rates(probes: Sequence[Probe], folder: str, timebase: Timebase) -> Iterator[Finding]:
    odd = [
        probe
        for probe in probes
        if len(probe.times) > 1
        and (not probe.is_steady or abs(probe.rate - timebase.fps) > FAR * timebase.fps)
    ]
    if odd:
        varying = sum(not probe.is_steady for probe in odd)
        what = (
            f"videos have another rate than data.timebase.fps={timebase.fps:g}, or a varying one"
            f" ({varying}); here {odd[0].video_id}, {odd[0].rate:.2f} frames a second"
        )
        yield Finding("video-rate", folder, what, len(odd), items=_ids(odd))


def _ids(probes: Sequence[Probe]) -> tuple[str, ...]:
    return tuple(probe.video_id for probe in probes[:SHOWN])


def _path_of(library: VideoLibrary, video_id: str) -> str:
    """Where a video lies; its id where that is open."""
    try:
        return str(library.place(video_id).path)
    except InputError:
        return f"video {video_id}"


def _is_picture(folder: Path, number: int) -> bool:
    """Whether the ``number``-th image of a folder can be decoded by itself."""
    if not folder.is_dir():
        return False
    names = sorted((path.name for path in folder.iterdir() if is_image(path.name)), key=number_in)
    try:
        return FrameFolder(folder, 1.0, [names[number]], np.zeros(1)).shape[0] == 1
    except InputError:
        return False
