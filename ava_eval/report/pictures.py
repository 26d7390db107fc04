"""Keyframes as small JPEGs, from a folder of videos."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ava_eval.errors import InputError

Frames = Callable[[str, Sequence[float]], Iterator[np.ndarray | InputError]]
"""The frames u8[H,W,3], RGB, of a video's id at ascending timestamps, one after the other; in the
place of one that cannot be had, why."""

SUFFIXES = {".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".flv"}
# Containers whose index leads to a moment; in others (AVI, MPEG, FLV) it leads astray.
_SEEKABLE = {"mov", "mp4", "matroska", "webm"}
_COUNTED = "avi"  # its frames do not carry the times at which they are shown
_WIDTH, _QUALITY = 360, 72
_LATEST = 1e6  # seconds; longer than any film
_A_FRAME = 0.02  # seconds; the first frame may be asked for so much before it


class VideoFolder:
    """The frames of the video files below a folder; call it as ``Frames``.

    The id of a video is its path below the folder, with or without its suffix, or its bare name.
    Ids only choose among what is there. ``start`` is the timestamp of a file's first frame: 0 for
    whole films, 900 for the segments that AVA's are often cut to.
    """

    def __init__(self, folder: str | PathLike[str], start: float = 0.0) -> None:
        self._folder, self._start = Path(folder), start
        if not self._folder.is_dir():
            raise InputError(f"--videos: expected a folder of videos, {folder} is none")
        self.paths = sorted(
            path
            for path in self._folder.rglob("*")
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not self.paths:
            known = ", ".join(sorted(SUFFIXES))
            raise InputError(f"--videos: expected videos ({known}) below {folder}, got none")
        self._whole, self._bare = dict[str, list[Path]](), dict[str, list[Path]]()
        for path in self.paths:
            below = path.relative_to(self._folder)
            for name in {str(below), str(below.with_suffix(""))}:
                self._whole.setdefault(name, []).append(path)
            for name in {path.name, path.stem}:
                self._bare.setdefault(name, []).append(path)

    def __call__(
        self, video_id: str, timestamps: Sequence[float]
    ) -> Iterator[np.ndarray | InputError]:
        given = 0
        try:
            path = self._path(video_id)
            for frame in frames_at(path, [moment - self._start for moment in timestamps]):
                yield frame
                given += 1
        except InputError as error:  # perhaps in the middle of the file
            for _ in timestamps[given:]:
                yield error

    def _path(self, video_id: str) -> Path:
        paths = self._whole.get(video_id) or self._bare.get(video_id) or []
        if len(paths) != 1:
            found = " and ".join(map(str, paths[:2])) or "none"
            raise InputError(
                f"video {video_id}: expected one file of that name below {self._folder}, got"
                f" {found}"
            )
        return paths[0]


def frames_at(path: Path, moments: Sequence[float]) -> Iterator[np.ndarray | InputError]:
    """The frames u8[H,W,3], RGB, turned upright, shown nearest to ascending ``moments``.

    These are seconds after the first frame. In the place of a moment outside of the video there is
    an ``InputError``. Raises one where the file cannot be read.
    """
    import av

    try:
        with av.open(str(path.absolute())) as container:
            if not container.streams.video:
                raise InputError(f"{path}: expected a video, got a file without pictures")
            stream = container.streams.video[0]
            found: Iterator[Any] = _nearest(_all_frames(container, stream), moments)
            if _SEEKABLE & set(container.format.name.split(",")):
                found = (_frame_by_index(container, stream, moment) for moment in moments)
            for moment, frame in zip(moments, found, strict=True):
                yield _outside(path, moment) if frame is None else _upright(frame)
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: cannot be read as a video: {error}") from error


def _outside(path: Path, moment: float) -> InputError:
    return InputError(
        f"{path}: does not show {moment:g} s after its first frame; --start is the timestamp of a"
        " file's first frame (0 for whole films, 900 for the segments that AVA's are cut to)"
    )


def _upright(frame: Any) -> np.ndarray:
    picture = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation) // 90 % 4))


def _frame_by_index(container: Any, stream: Any, moment: float) -> Any:
    """The frame nearest to a moment, by the file's index; None outside of the video."""
    if not -_A_FRAME <= moment <= _LATEST:
        return None
    first = float((stream.start_time or 0) * stream.time_base)
    container.seek(int((first + max(moment, 0)) / stream.time_base), stream=stream)
    frames = ((frame.time - first, frame) for frame in _stamped(container, stream))
    return next(_nearest(frames, [moment]))


def _all_frames(container: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    """All frames and when each is shown, in seconds after the first."""
    if container.format.name == _COUNTED and stream.average_rate:
        for number, frame in enumerate(container.decode(stream)):
            yield number / float(stream.average_rate), frame
        return
    first = None
    for frame in _stamped(container, stream):
        first = frame.time if first is None else first
        yield frame.time - first, frame


def _stamped(container: Any, stream: Any) -> Iterator[Any]:
    """The frames that say when they are shown; damaged files have others."""
    return (frame for frame in container.decode(stream) if frame.time is not None)


def _nearest(frames: Iterator[tuple[float, Any]], moments: Sequence[float]) -> Iterator[Any]:
    """The nearest frame to each of ascending ``moments`` in one walk; None outside of the video.

    The last frame is shown for as long as the one before it, or a second.
    """
    before = now = next(frames, None)
    for moment in moments:
        if now is None or before is None or moment < before[0] - _A_FRAME or moment > _LATEST:
            yield None
            continue
        while now[0] < moment and (after := next(frames, None)) is not None:
            before, now = now, after
        if now[0] < moment:
            yield now[1] if moment - now[0] <= max(now[0] - before[0], 1.0) else None
        else:
            yield now[1] if now[0] - moment < moment - before[0] else before[1]


def jpeg_address(frame: np.ndarray) -> str:
    """A frame u8[H,W,3], RGB, as the ``data:`` address of a small JPEG."""
    import cv2

    height, width = frame.shape[:2]
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    if not done:
        raise ValueError("OpenCV could not encode the picture")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
