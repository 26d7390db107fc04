"""A video file of pictures at given times, with the sound of another."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

UNIT = Fraction(1, 90000)
"""Seconds in which the file tells when its frames are shown."""
CONTAINERS = (".mp4", ".mov", ".mkv")
SOUNDS = {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}
"""Codecs of sound that all of these containers keep as it is."""
BT601, LIMITED = 6, 1  # FFmpeg's numbers of how YUV is made of RGB here


class FilmWriter:
    """An H.264 file; use it in a ``with`` statement, which completes it.

    It is opened with the first picture, whose size all have.

    Args:
        path: where it goes; the suffix (one of ``CONTAINERS``) chooses the format.
        sound: a stream whose packets ``add_sound`` takes as they are.
        pixel_aspect: width of a pixel to its height.
        crf: x264's constant rate factor.
    """

    def __init__(
        self,
        path: Path,
        sound: av.AudioStream | None = None,
        pixel_aspect: Fraction | None = None,
        crf: int = 20,
    ) -> None:
        self._container = av.open(str(path), "w", options={"movflags": "faststart"})
        self._stream: Any = self._container.add_stream(
            "libx264", rate=30, options={"preset": "veryfast", "crf": str(crf), "bf": "0"}
        )
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base, context.colorspace, context.color_range = UNIT, BT601, LIMITED
        if pixel_aspect:
            context.sample_aspect_ratio = pixel_aspect
        self._sound: Any = sound and self._container.add_stream_from_template(sound)
        self.sound_origin = Fraction(0)  # moment of the sound's stream at which the pictures begin
        self._waiting: list[av.Packet] = []  # sound before the first picture
        self._last = -1
        self._last_sound: int | None = None

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._last >= 0:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def add(self, picture: np.ndarray, time: float) -> None:
        """Write a picture u8[H, W, 3], RGB, with even sides, shown from ``time`` (seconds) on."""
        first = self._last < 0
        if first:
            self._stream.height, self._stream.width = picture.shape[:2]
        stamp = max(self._last + 1, round(time / UNIT))
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = stamp, UNIT
        self._last = stamp
        self._container.mux(self._stream.encode(frame))
        if first:
            waiting, self._waiting = self._waiting, []
            for packet in waiting:
                self.add_sound(packet)

    def add_sound(self, packet: av.Packet) -> None:
        """Copy a packet of the sound; it belongs to a moment behind ``sound_origin``."""
        unit = packet.time_base
        if self._sound is None or unit is None or packet.dts is None:
            return
        if self._last < 0:
            self._waiting.append(packet)
            return
        shift = round(self.sound_origin / unit)
        packet.pts = (packet.dts if packet.pts is None else packet.pts) - shift
        packet.dts -= shift
        if self._last_sound is not None and packet.dts <= self._last_sound:
            return  # a damaged file goes back in time
        self._last_sound = packet.dts
        packet.stream = self._sound
        self._container.mux(packet)


def even(picture: np.ndarray) -> np.ndarray:
    """A copy of a picture u8[H, W, 3] to draw into, whose odd sides get one more row or column."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.array(picture, order="C")
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
