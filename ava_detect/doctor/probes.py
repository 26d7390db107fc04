"""A look at each video: is it there, whole, and can its keyframes be read?"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from ava_detect.clips import Video, VideoLibrary
from ava_detect.clips.frame_folder import FrameFolder, is_image, number_in
from ava_detect.clips.prepared import PreparedVideo
from ava_detect.timebase import Timebase, time_span
from ava_eval.errors import InputError

UNSTEADY = 0.01
"""Where more than this part of the gaps differs by a quarter from most, the rate varies."""
SAMPLED = 16
"""So many images of a folder, spread over it, are looked at."""
LISTINGS = 8
"""So many folders of listed images are kept in memory."""
Listing = Callable[[Path], frozenset[str]]


@dataclass(frozen=True, eq=False)
class Probe:
    """What a look at one video gave.

    Attributes:
        times: f64[N] of its frames, in the tables' seconds.
        is_folder: whether its frames are images that were extracted.
        lost_frames: gaps in the numbers of its images.
        broken, undecodable, odd_size: what keeps all or some frames from being read, or ''.
        missing: images that a list names and that are not there.
        lacking: frames that clips show and a prepared copy does not have.
    """

    video_id: str
    path: str
    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    is_folder: bool = False
    lost_frames: int = 0
    broken: str = ""
    undecodable: str = ""
    odd_size: str = ""
    missing: Sequence[str] = ()
    lacking: Sequence[int] = ()

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
    clip: tuple[int, int],
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Probe]:
    """Look at the videos of some ids, at each with its keyframes' ``timestamps`` f64[K].

    ``clip`` is num_frames, sampling_rate.
    """
    listing = lru_cache(LISTINGS)(_listing)

    def probe(video_id: str) -> Probe:
        return probe_video(library, video_id, timestamps[video_id], timebase, clip, listing)

    probes = {}
    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
        for probed in pool.map(probe, timestamps):
            probes[probed.video_id] = probed
            if progress is not None:
                progress(len(probes), len(timestamps))
    return probes


def probe_video(
    library: VideoLibrary,
    video_id: str,
    timestamps: np.ndarray,
    timebase: Timebase,
    clip: tuple[int, int],
    listing: Listing,
) -> Probe:
    """Index a video, and decode its first, middle and last keyframe.

    Of a prepared copy, these among the frames that it has; of a list of images, nothing where some
    are missing.
    """
    path = path_of(library, video_id)
    try:
        times = library.frame_times(video_id)
        video = library.video(video_id)
    except InputError as problem:
        return Probe(video_id, path, broken=str(problem))
    inside = np.unique(timestamps[timebase.is_inside(timestamps, times)])
    numbers = _few_keyframes(inside, times, timebase)
    if isinstance(video, FrameFolder):
        return _probe_images(library, video_id, video, numbers, listing)
    lacking = np.zeros(0, np.int64)
    if isinstance(video, PreparedVideo):
        clips = [timebase.clip_frames(float(stamp), times, *clip) for stamp in inside]
        lacking = np.setdiff1d(np.array(clips, np.int64), video.manifest.kept)
        numbers = np.setdiff1d(numbers, lacking)
    unread = _unread(video, numbers)
    undecodable = f"frame {unread[0][0]}: {unread[0][1]}" if unread else ""
    return Probe(video_id, path, times, undecodable=undecodable, lacking=tuple(lacking.tolist()))


def path_of(library: VideoLibrary, video_id: str) -> str:
    """Where a video lies; its id where that is open."""
    try:
        return str(library.place(video_id).path)
    except InputError:
        return f"video {video_id}"


def _probe_images(
    library: VideoLibrary, video_id: str, video: FrameFolder, numbers: np.ndarray, listing: Listing
) -> Probe:
    """Look at images: those of some frames, and a few spread over all."""
    times, path = library.frame_times(video_id), path_of(library, video_id)
    lost = int(np.rint(video.times[-1] * library.frames_fps)) + 1 - len(times)
    if library.path_of(video_id) is None:  # the names come from a list
        missing = _missing(video, listing)
        if missing:
            return Probe(video_id, path, times, True, lost, missing=missing)
    spread = np.linspace(0, len(times) - 1, SAMPLED).astype(int)
    undecodable = odd_size = ""
    for number, reason in _unread(video, np.union1d(numbers, spread)):
        if _is_picture(Path(path), number):
            odd_size = odd_size or reason
        else:
            undecodable = undecodable or f"frame {number}: {reason}"
    return Probe(video_id, path, times, True, lost, "", undecodable, odd_size)


def _few_keyframes(inside: np.ndarray, times: np.ndarray, timebase: Timebase) -> np.ndarray:
    """The frames of the first, the middle and the last timestamp, ascending."""
    if not len(inside):
        return np.zeros(0, np.int64)
    chosen = inside[np.linspace(0, len(inside) - 1, 3).astype(int)]
    return np.unique([timebase.clip_frames(float(t), times, 1, 0)[0] for t in chosen])


def _unread(video: Video, numbers: np.ndarray) -> list[tuple[int, str]]:
    """Frames of ascending numbers that cannot be read, and why.

    All are read in one pass; only where that fails one by one, to tell which.
    """
    if _why_unread(video, numbers) is None:
        return []
    reasons = [(int(number), _why_unread(video, np.array([number]))) for number in numbers]
    return [(number, reason) for number, reason in reasons if reason is not None]


def _why_unread(video: Video, numbers: np.ndarray) -> str | None:
    """What keeps frames of ascending numbers from being read; None if nothing does."""
    try:
        for _ in video.walk(numbers.astype(np.int64)):
            pass
    except InputError as problem:
        return str(problem)
    return None


def _missing(video: FrameFolder, listing: Listing) -> tuple[str, ...]:
    """The images of a list that are not there."""
    split = [os.path.split(name) for name in video.image_names]
    there = {folder: listing(video.root / folder) for folder in dict.fromkeys(f for f, _ in split)}
    return tuple(
        str(video.root / folder / name) for folder, name in split if name not in there[folder]
    )


def _listing(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries)
    except OSError:
        return frozenset()


def _is_picture(folder: Path, number: int) -> bool:
    """Whether the ``number``-th image of a folder can be decoded by itself."""
    if not folder.is_dir():
        return False
    names = sorted((path.name for path in folder.iterdir() if is_image(path.name)), key=number_in)
    try:
        return FrameFolder(folder, 1.0, [names[number]], np.zeros(1)).shape[0] == 1
    except InputError:
        return False
