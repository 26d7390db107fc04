"""When each frame of a video file is shown, and where decoding can begin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import av
import numpy as np

from ava_eval.errors import InputError

HEAD = 16
"""So many first frames are decoded to see whether they carry the stamps of their packets."""
SCANNED = 4096
"""So many bytes of a packet are looked through for the next unit; what comes before is short."""
MISSING_SECONDS = 0.5
"""A file that ends so much before the duration it declares is incomplete."""


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """When each frame of a video file is shown, and where decoding can begin.

    Attributes:
        stamps: i64[N], when each frame is shown, in the file's own units, ascending.
        time_base: seconds of one unit.
        keys: i64[K], numbers of the frames at which decoding can begin, ascending. The first is 0.
        key_seeks: i64[K], the stamp in decoding order to seek to for each of them.
        counted: frames do not carry their stamps (some AVI files): frame k is the k-th decoded.
        size: (width, height) of the frames in pixels, as stored.
        rotation: degrees, a multiple of 90, to turn a stored frame counter-clockwise.
        codec: FFmpeg's name of it.
        free: bool[N], frames on which no other rests, so that they can be passed by undecoded.
    """

    stamps: np.ndarray
    time_base: float
    keys: np.ndarray
    key_seeks: np.ndarray
    counted: bool
    size: tuple[int, int]
    rotation: int
    codec: str
    free: np.ndarray

    @cached_property
    def times(self) -> np.ndarray:
        """f64[N], seconds after the first frame, ascending."""
        return (self.stamps - self.stamps[0]) * self.time_base

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, 3) of the whole video as it is shown."""
        width, height = self.size if self.rotation % 180 == 0 else self.size[::-1]
        return len(self.stamps), height, width, 3


@contextmanager
def opened_video(
    path: str | os.PathLike[str],
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a file and its main video stream; what the libraries dislike becomes an InputError."""
    try:
        with av.open(str(Path(path).absolute())) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, av.VideoStream):
                raise InputError(f"{path}: expected a video, found no stream of pictures in it")
            yield container, stream
    except av.FFmpegError as problem:
        raise damaged(path, problem.strerror or str(problem)) from problem


def packet_stamp(packet: av.Packet) -> int | None:
    """When the picture of a packet is shown, in the stream's units."""
    return packet.dts if packet.pts is None else packet.pts


def frame_stamp(path: str | os.PathLike[str], frame: av.VideoFrame) -> int:
    """When a decoded frame is shown, in the stream's units; InputError where it does not say."""
    if frame.pts is None:
        raise damaged(path, "a frame has no time")
    return frame.pts


def scan_video(path: str | os.PathLike[str]) -> VideoIndex:
    """Index a video: one pass over its packets, and a look at its first frames.

    So variable rates, frames stored out of order (B-frames) and files that do not start at zero
    come out right.

    Raises:
        InputError: the file is not a video, or it is damaged or incomplete.
    """
    with opened_video(path) as (container, stream):
        scan = _PacketScan(path, stream)
        for packet in container.demux():
            scan.add(packet)
        scan.check_complete((container.duration or 0) / av.time_base)
        if stream.time_base is None:
            raise damaged(path, "its frames have no unit of time")
        time_base = float(stream.time_base)
        codec = stream.codec_context.name
    heads, first = scan.head_stamps, scan.heads[0]
    # Pictures before the first one that decodes (the open start of a broadcast) are never shown.
    stamps = np.unique(np.array(scan.stamps, np.int64))
    stamps = stamps[stamps >= heads[0]]
    counted = stamps[: len(heads)].tolist() != heads
    if counted:
        stamps = _decoded_stamps(path)
        keys, key_seeks = np.zeros(1, np.int64), stamps[:1]
    else:
        keys, key_seeks = _key_frames(stamps, scan.keys)
    return VideoIndex(
        stamps=stamps,
        time_base=time_base,
        keys=keys,
        key_seeks=key_seeks,
        counted=counted,
        size=(first.width, first.height),
        rotation=round(first.rotation / 90) * 90,
        codec=codec,
        free=np.isin(stamps, np.array(sorted(scan.free), np.int64)) & (not counted),
    )


class _PacketScan:
    """What one pass over the packets of all streams tells of the pictures of one."""

    def __init__(self, path: str | os.PathLike[str], stream: av.VideoStream) -> None:
        self.path = path
        self.stream_index = stream.index
        self.stamps: list[int] = []
        self.keys: list[tuple[int, int]] = []  # (stamp, where to seek)
        self.free: set[int] = set()
        self.is_free = _free_test(stream)
        self.heads: list[av.VideoFrame] = []
        self.end = 0.0

    @property
    def head_stamps(self) -> list[int]:
        return [frame_stamp(self.path, frame) for frame in self.heads]

    def add(self, packet: av.Packet) -> None:
        """Take the next packet of any stream; those without data only flush the decoder."""
        if packet.is_corrupt:
            raise damaged(self.path, "a packet is cut off")
        is_picture = packet.stream_index == self.stream_index
        if is_picture and len(self.heads) < HEAD:
            self.heads.extend(packet.decode())
        stamp = packet_stamp(packet)
        if packet.size and stamp is not None:
            unit = packet.time_base or 0
            self.end = max(self.end, float((stamp + (packet.duration or 0)) * unit))
        if not (packet.size and is_picture) or packet.is_discard:
            return
        if stamp is None:
            raise InputError(
                f"{self.path}: expected a container that keeps the time of each frame; remux it,"
                " e.g. ffmpeg -i FILE -c copy FILE.mkv"
            )
        self.stamps.append(stamp)
        if self.is_free(memoryview(packet)):
            self.free.add(stamp)
        if packet.is_keyframe:
            self.keys.append((stamp, stamp if packet.dts is None else packet.dts))

    def check_complete(self, declared: float) -> None:
        """Raise InputError if nothing was decoded or the declared duration (s) is not reached."""
        if not self.heads:
            raise damaged(self.path, "no frame can be decoded")
        if self.end < declared - MISSING_SECONDS:
            raise damaged(self.path, f"it ends after {self.end:.2f} of {declared:.2f} s")


def _free_test(stream: av.VideoStream) -> Callable[[memoryview], bool]:
    """Whether no picture rests on that of a packet; only H.264 says so where it is easily read."""
    extra = stream.codec_context.extradata or b""
    if stream.codec_context.name != "h264":
        return lambda packet: False
    # The units of a packet come behind their length, or (MPEG-TS, AVI) behind a start code.
    size = (extra[4] & 3) + 1 if len(extra) > 4 and extra[0] == 1 else 0

    def is_free(packet: memoryview) -> bool:
        place = 0
        while place < len(packet):
            if size:
                length = int.from_bytes(packet[place : place + size])
                place += size
            else:
                start = bytes(packet[place : place + SCANNED]).find(b"\0\0\1")
                if start < 0:
                    return False
                place, length = place + start + 3, 0
            if place >= len(packet):
                return False
            importance, kind = packet[place] >> 5 & 3, packet[place] & 31  # nal_ref_idc, type
            if 1 <= kind <= 5:  # a slice; all of a picture agree
                return kind == 1 and importance == 0
            place += length
        return False

    return is_free


def _key_frames(stamps: np.ndarray, keys: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Frame numbers and seek stamps of the key frames; the start of the file counts as one."""
    seeks = {stamps[0]: stamps[0]} | {stamp: seek for stamp, seek in keys if stamp >= stamps[0]}
    key_stamps = np.array(sorted(seeks), np.int64)
    return np.searchsorted(stamps, key_stamps), np.array([seeks[key] for key in key_stamps])


def _decoded_stamps(path: str | os.PathLike[str]) -> np.ndarray:
    """The stamps i64[N] of all frames, ascending, as the decoder gives them."""
    with opened_video(path) as (container, stream):
        stamps = [frame_stamp(path, frame) for frame in container.decode(stream)]
    return np.sort(np.array(stamps, np.int64))


def damaged(path: str | os.PathLike[str], reason: str) -> InputError:
    """The error for a file that cannot be read as a video, or not to its end."""
    return InputError(
        f"{path}: expected a whole, readable video ({reason}); get the file again, or keep what"
        " can be read of it, e.g. ffmpeg -i FILE NEW.mp4"
    )
