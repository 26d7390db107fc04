"""Keyframes as small JPEGs, from a folder of videos."""

from __future__ import annotations

import base64
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ava_eval.errors import InputError

Frames = Callable[[str, float], np.ndarray]
"""The frame u8[H,W,3], RGB, of a video's id and a timestamp; InputError where it has none."""

SUFFIXES = {".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".flv"}
_WIDTH, _QUALITY = 360, 72
_HALF_A_FRAME = 0.02  # seconds; what a key frame may come late by


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
        self._paths = dict[str, Path]()
        for path in sorted(self._folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                below = path.relative_to(self._folder)
                for name in (path.stem, path.name, str(below.with_suffix("")), str(below)):
                    self._paths.setdefault(name, path)
        if not self._paths:
            raise InputError(
                f"--videos: expected videos ({', '.join(sorted(SUFFIXES))}) below"
                f" {folder}, there are none"
            )

    def __call__(self, video_id: str, timestamp: float) -> np.ndarray:
        if video_id not in self._paths:
            raise InputError(f"video {video_id}: there is none of that name below {self._folder}")
        path, seconds = self._paths[video_id], timestamp - self._start
        if seconds < -_HALF_A_FRAME:
            raise InputError(
                f"{path}: {timestamp:g} s is before its first frame, which --start puts at"
                f" {self._start:g} s"
            )
        return read_frame_at(path, seconds)


def read_frame_at(path: Path, seconds: float) -> np.ndarray:
    """The frame u8[H,W,3], RGB, shown nearest to ``seconds`` after the first, turned upright.

    Raises ``InputError`` where the file cannot be read or ends before.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frame = _nearest(container, stream, seconds, seek=True)
            if frame is None:  # the index led behind the moment, as in many MPEG-TS
                frame = _nearest(container, stream, seconds, seek=False)
    except (av.FFmpegError, IndexError, OSError) as error:
        raise InputError(f"{path}: cannot be read as a video: {error}") from error
    if frame is None:
        raise InputError(
            f"{path}: ends before {seconds:g} s; --start is the timestamp of a file's first frame"
            " (900 for the segments that AVA's films are cut to)"
        )
    picture = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, round(getattr(frame, "rotation", 0)) // 90 % 4))


def _nearest(container: Any, stream: Any, seconds: float, *, seek: bool) -> Any:
    """The frame nearest to a moment; None where the stream does not reach it, or begins after."""
    first = float((stream.start_time or 0) * stream.time_base)
    target = first + seconds
    if seek:
        container.seek(max(0, int(target / stream.time_base)), stream=stream, backward=True)
    else:
        container.seek(0)
    before = None
    for frame in container.decode(stream):
        if frame.time is None:
            continue
        if frame.time >= target:
            if before is None:
                late = frame.time - target > _HALF_A_FRAME
                return None if late and (seek or seconds > _HALF_A_FRAME) else frame
            return frame if frame.time - target < target - before.time else before
        before = frame
    if before is not None and target - before.time <= 1.0:
        return before  # the last one is shown until the end
    return None


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
