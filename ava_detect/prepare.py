"""Copies of videos that are quick to read: small, few frames to a key frame, none superfluous."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

from ava_detect.clips import Video
from ava_detect.clips.prepared import Manifest, manifest_path, open_prepared
from ava_detect.timebase import Timebase
from ava_eval.errors import InputError

UNIT = Fraction(1, 90000)
"""Seconds in which a copy tells when its frames are shown."""
HASHED = 25
"""Every so many frames one goes into the digest of a copy."""


@dataclass(frozen=True)
class CopySettings:
    """How a copy is made.

    Attributes:
        kind: an H.264 file, or a folder of JPEG images.
        short_side: pixels; a smaller video keeps its size, as all do with None. Sides are even.
        gop: frames from one key frame to the next; groups are closed.
        crf: x264's constant rate factor, 0 (lossless) to 51.
        jpeg_quality: 1 to 100.
    """

    kind: Literal["video", "frames"] = "video"
    short_side: int | None = 320
    gop: int = 12
    crf: int = 20
    jpeg_quality: int = 95

    def facts(self) -> dict[str, int | str | None]:
        """What the copy depends on."""
        used = ("gop", "crf") if self.kind == "video" else ("jpeg_quality",)
        return {name: asdict(self)[name] for name in ("kind", "short_side", *used)}

    def target(self, folder: Path, name: str) -> Path:
        """Where the copy of the video ``name``, a path below its folder without suffix, lies."""
        return folder / (f"{name}.mp4" if self.kind == "video" else name)


@dataclass(frozen=True)
class Wanted:
    """The clips that are read of a video.

    Attributes:
        moments: f64[K] of its keyframes: seconds after its first frame, or frame numbers.
        timebase, num_frames, sampling_rate: which frames make a clip; see ``Timebase``.
        skip: go on without the moments that the video does not show.
    """

    moments: np.ndarray
    timebase: Timebase
    num_frames: int
    sampling_rate: int
    skip: bool = False

    def frames(self, video_id: str, times: np.ndarray) -> np.ndarray:
        """Numbers of the frames that the clips show, ascending, of a video's ``times`` f64[N].

        Raises InputError for a keyframe outside of the video, and where none is left.
        """
        inside = self.timebase.is_inside(self.moments, times)
        if not inside.all() and not (self.skip and inside.any()):
            outside = float(self.moments[np.argmin(inside)])
            self.timebase.require_inside(outside, video_id, times)
        clips = [
            self.timebase.clip_frames(moment, times, self.num_frames, self.sampling_rate)
            for moment in self.moments[inside].tolist()
        ]
        return np.unique(clips)


@dataclass(frozen=True)
class Job:
    """One copy to make: of the frames that ``wanted`` shows, or of all."""

    video_id: str
    video: Video
    wanted: Wanted | None
    target: Path
    settings: CopySettings

    def run(self) -> bool:
        """Make the copy, unless it is there already; returns whether it was made.

        Raises InputError where the video cannot be read, or does not show a keyframe.
        """
        times = self.video.times
        numbers = np.arange(len(times))
        if self.wanted is not None:
            numbers = self.wanted.frames(self.video_id, times)
        if is_current(self.video, numbers, self.target, self.settings):
            return False
        prepare_video(self.video, numbers, self.target, self.settings)
        return True


def start_process() -> None:
    """Each process has one core: OpenCV's own threads would be in the way of the others."""
    cv2.setNumThreads(0)


def is_current(video: Video, numbers: np.ndarray, target: Path, settings: CopySettings) -> bool:
    """Whether ``target`` is the copy that ``prepare_video`` would make."""
    if not target.exists() or not manifest_path(target).is_file():
        return False
    try:
        copy = open_prepared(target)
        whole = len(copy.copy.times) == len(numbers)
    except InputError:
        return False  # what a broken disk or another program left there is made anew
    return whole and copy.manifest.is_of(video.digest, numbers, settings.facts())


def prepare_video(
    video: Video, numbers: np.ndarray, target: Path, settings: CopySettings
) -> Manifest:
    """Copy the frames ``numbers`` i64[K], ascending and unique, of a video to ``target``.

    ``target`` is an mp4 file or a folder of images; ``frames.npz`` in it, or beside it, tells
    which frames of the original these are and when all of the original's are shown, so that times
    and numbers stay the original's. It appears whole or not at all, in the place of a copy of
    either kind. Raises InputError where the video cannot be read, or the copy not be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # A fixed name: what a killed run left is overwritten by the next.
    partial = target.with_name(f".{target.name}.partial{target.suffix}")
    _remove(partial)
    digest = hashlib.sha256()
    frames = _hashed(_resized(video.walk(numbers), settings.short_side), digest)
    try:
        try:
            if settings.kind == "video":
                _write_video(frames, video.times[numbers], partial, settings)
            else:
                _write_images(frames, numbers, partial, settings)
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{target}: cannot be written: {error.strerror}") from error
        manifest = Manifest(
            times=video.times,
            kept=numbers,
            source=video.digest,
            settings=dict(settings.facts()),
            content=digest.hexdigest(),
        )
        # In this order, so that no copy is ever taken for a whole video.
        name = target.with_suffix("") if settings.kind == "video" else target
        for old in (name, *(name.with_name(name.name + end) for end in (".mp4", ".frames.npz"))):
            _remove(old)
        if settings.kind == "frames":
            manifest.save(partial / "frames.npz")
        else:
            manifest.save(target.with_suffix(".frames.npz"))
        partial.replace(target)
    finally:
        _remove(partial)
    return manifest


def _resized(frames: Iterable[np.ndarray], short_side: int | None) -> Iterator[np.ndarray]:
    """Frames with that short side, or less, and even sides."""
    for frame in frames:
        height, width = frame.shape[:2]
        scale = min(1.0, (short_side or min(height, width)) / min(height, width))
        size = tuple(max(2, round(side * scale / 2) * 2) for side in (width, height))
        if size == (width, height):
            yield np.ascontiguousarray(frame)
        else:
            yield cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _hashed(frames: Iterable[np.ndarray], digest: hashlib._Hash) -> Iterator[np.ndarray]:
    """The frames, of which some go through ``digest``."""
    for number, frame in enumerate(frames):
        if number % HASHED == 0:
            digest.update(frame.tobytes())
        yield frame


def _write_video(
    frames: Iterator[np.ndarray], times: np.ndarray, path: Path, settings: CopySettings
) -> None:
    """An H.264 file whose frames are shown at ``times``, made to be decoded fast."""
    options = {
        "preset": "veryfast",
        "tune": "fastdecode",
        "crf": str(settings.crf),
        "g": str(settings.gop),
        "keyint_min": str(settings.gop),
        "sc_threshold": "0",
        "bf": "0",
        "threads": "1",  # the same frames give the same bytes; videos are made in parallel
    }
    stamps = np.rint((times - times[0]) / float(UNIT)).astype(np.int64)
    stamps += np.arange(len(stamps)) - np.searchsorted(stamps, stamps)  # no two are the same
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = UNIT
        for stamp, pixels in zip(stamps.tolist(), frames, strict=True):
            if stamp == 0:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = stamp, UNIT
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write_images(
    frames: Iterator[np.ndarray], numbers: np.ndarray, folder: Path, settings: CopySettings
) -> None:
    """JPEG images named by the original's frame numbers, counted from 1 as ffmpeg does."""
    folder.mkdir()
    quality = [cv2.IMWRITE_JPEG_QUALITY, settings.jpeg_quality]
    for number, pixels in zip(numbers.tolist(), frames, strict=True):
        path = folder / f"{number + 1:06d}.jpg"
        if not cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality):
            raise InputError(f"{path}: cannot be written; is the disk full?")


def _remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def num_bytes(path: Path) -> int:
    """What a file, or a folder with all in it, takes on the disk."""
    if path.is_file():
        return path.stat().st_size
    return sum(
        (Path(folder) / name).stat().st_size for folder, _, names in os.walk(path) for name in names
    )
