"""The frames of any video file in one pass, as far as it can be read; its sound goes by."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from ava_eval.errors import InputError

MISSING_SECONDS = 0.5
"""A file that ends so much before the duration it declares is incomplete."""
USUAL_RATE = Fraction(25)
"""Frames a second of a stream that tells neither its rate nor the times of its frames."""


@dataclass(frozen=True, eq=False)
class FilmShot:
    """A decoded frame, in the decoder's own format: half of what RGB takes.

    Attributes:
        time: seconds after the first frame.
        frame: as decoded.
        size: (width, height) in pixels as stored, of the first frame; all are shown so.
        rotation: degrees, a multiple of 90, to turn it counter-clockwise.
    """

    time: float
    frame: av.VideoFrame
    size: tuple[int, int]
    rotation: int
    to_rgb: VideoReformatter

    def pixels(self) -> np.ndarray:
        """The picture as it is shown, u8[H, W, 3], RGB; to be read, not written to."""
        width, height = self.size
        plane = self.to_rgb.reformat(self.frame, width, height, "rgb24", threads=1).planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        picture = rows[:height, : width * 3].reshape(height, width, 3)
        return np.rot90(picture, self.rotation // 90)


class FilmReader:
    """A video file, read once from its start; use it in a ``with`` statement.

    What is damaged is passed by, and counted: see ``problem``. Raises InputError for what is no
    video at all.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.num_frames = 0
        self.seconds = 0.0  # from the first frame to the last one
        self.origin: Fraction | None = None  # time of the first frame, in the file's own seconds
        self.size: tuple[int, int] | None = None  # (width, height) as stored
        self.rotation = 0
        self.is_whole = True  # read to its end, as far as it can be
        self._damaged = 0
        self._end = 0.0  # of what was read of all streams, in the file's own seconds
        self._stamps: deque[int] = deque()  # of packets whose pictures have not come out
        try:
            self._container = av.open(str(self.path.absolute()))
        except (av.FFmpegError, OSError) as problem:
            raise InputError(
                f"{path}: expected a video that can be opened: {problem.strerror or problem}"
            ) from problem
        stream = self._container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            self._container.close()
            raise InputError(f"{path}: expected a video, found no stream of pictures in it")
        self.stream = stream
        # AVI's packets have times in the order of showing, whichever picture is in them.
        self._is_avi = self._container.format.name == "avi"
        # With several, FFmpeg tells only by chance that a picture is damaged.
        self.stream.codec_context.thread_count = 1
        sound = self._container.streams.best("audio")
        self.sound = sound if isinstance(sound, av.AudioStream) else None

    def __enter__(self) -> FilmReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    @property
    def declared_seconds(self) -> float | None:
        """The length that the file tells, if it tells one."""
        return self._container.duration / av.time_base if self._container.duration else None

    @property
    def problem(self) -> str | None:
        """What could not be read, in words; None where all was."""
        told = []
        declared = self.declared_seconds or 0.0
        end = max(0.0, self._end - (self._container.start_time or 0) / av.time_base)
        if self.is_whole and end < declared - MISSING_SECONDS:
            told.append(f"it ends after {end:.2f} of {declared:.2f} s")
        if self._damaged:
            parts = "damaged part was" if self._damaged == 1 else "damaged parts were"
            told.append(f"{self._damaged} {parts} passed by or shown as they are")
        return " and ".join(told) or None

    def shots(
        self,
        take_sound: Callable[[av.Packet], None] | None = None,
        until: float | None = None,
    ) -> Iterator[FilmShot]:
        """The frames, in the order of time; those before ``until`` (seconds) if it is given.

        The packets of the sound that lie between are given to ``take_sound``.
        """
        to_rgb = VideoReformatter()
        for frame in self._frames(take_sound):
            time = self._time_of(frame)
            if time is None:
                continue
            if until is not None and time >= until:
                self.is_whole = False
                return
            if self.size is None:
                self.size = (frame.width, frame.height)
                self.rotation = round(frame.rotation / 90) * 90
            self.num_frames += 1
            self.seconds = time
            yield FilmShot(time, frame, self.size, self.rotation, to_rgb)

    def _frames(self, take_sound: Callable[[av.Packet], None] | None) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            if packet.stream_index != self.stream.index:
                if take_sound is not None and packet.size and packet.dts is not None:
                    take_sound(packet)
                continue
            try:
                if self._is_avi and packet.size and packet.dts is not None:
                    self._stamps.append(packet.dts)
                for frame in packet.decode():
                    self._damaged += frame.is_corrupt
                    if self._stamps:
                        frame.pts = self._stamps.popleft()
                    yield frame
            except av.FFmpegError:
                self._damaged += 1

    def _packets(self) -> Iterator[av.Packet]:
        wanted = [self.stream] if self.sound is None else [self.stream, self.sound]
        packets = self._container.demux(wanted)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self._damaged += 1
                return
            if packet is None:
                return
            if packet.size and packet.dts is not None and packet.time_base is not None:
                end = (packet.dts + (packet.duration or 0)) * packet.time_base
                self._end = max(self._end, float(end))
            yield packet

    def _time_of(self, frame: av.VideoFrame) -> float | None:
        """Seconds of a frame after the first one; None where it is not behind the one before."""
        rate = self.stream.average_rate or USUAL_RATE
        if frame.pts is None or frame.time_base is None:
            stamp = (self.origin or 0) + (Fraction(self.seconds) if self.num_frames else 0)
            stamp += 1 / rate if self.num_frames else 0
        else:
            stamp = frame.pts * frame.time_base
        if self.origin is None:
            self.origin = Fraction(stamp)
        time = float(stamp - self.origin)
        if self.num_frames and time <= self.seconds:
            return None
        return time
