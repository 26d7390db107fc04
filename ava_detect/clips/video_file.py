"""The frames of a video file, exactly."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from ava_detect.clips.index_cache import cached_index
from ava_detect.video_index import (
    VideoIndex,
    damaged,
    frame_stamp,
    opened_video,
    packet_stamp,
)
from ava_eval.errors import InputError

SKIPPABLE = 32
"""Decoding on through so many unwanted frames is cheaper than a new seek."""
STEPS_BACK = (0, 1, 4)
"""Key frames to step back when a seek lands too late; then the file is read from its start."""
ONE_PICTURE_A_PACKET = {"h264", "hevc", "mpeg2video"}
"""Codecs in which a packet without a picture is a damaged one."""
SAMPLES, SAMPLE_BYTES = 16, 1 << 16
"""How much of a file goes into its digest: enough to tell copies apart, at any length."""


class VideoFile:
    """The frames of one video file, by number in the order of showing; see ``Video``.

    The file is indexed at the first use and opened for each walk, so that threads and forked
    processes can share the object.

    Args:
        path: the file.
        threads: of the decoder. More than one pays only where nothing else runs beside.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int = 1) -> None:
        self.path = Path(path)
        self.threads = threads

    @property
    def index(self) -> VideoIndex:
        """When the frames are shown; raises InputError for a file that is not a whole video."""
        return cached_index(self.path)

    @property
    def times(self) -> np.ndarray:
        """See ``Video.times``."""
        return self.index.times

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """See ``Video.shape``."""
        return self.index.shape

    @property
    def digest(self) -> str:
        """See ``Video.digest``: of the frames' times, their size, and samples of the file."""
        facts = (self.shape, self.index.time_base)
        digest = hashlib.sha256(repr(facts).encode() + self.index.stamps.tobytes())
        try:
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                digest.update(str(size).encode())
                for place in range(SAMPLES):
                    file.seek(place * max(size - SAMPLE_BYTES, 0) // (SAMPLES - 1))
                    digest.update(file.read(SAMPLE_BYTES))
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}") from error
        return digest.hexdigest()

    def walk(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        """See ``Video.walk``."""
        index = self.index
        for run in _runs(wanted, index.keys):
            yield from self._walk_run(index, run)

    def _walk_run(self, index: VideoIndex, wanted: np.ndarray) -> Iterator[np.ndarray]:
        """Decode ascending frames from the last key frame that gives them all.

        First without the pictures that nobody needs; where that misses one, everything.
        """
        last_key = int(np.searchsorted(index.keys, wanted[0], side="right")) - 1
        done = 0
        for key, sparse in ((last_key, True), (last_key, False), (last_key - 1, False), (0, False)):
            if key < 0:
                continue
            for pixels in self._pictures(index, key, index.stamps[wanted[done:]], sparse):
                yield pixels
                done += 1
            if done == len(wanted):
                return
        raise InputError(f"{self.path}: changed while it was read")

    def _pictures(
        self, index: VideoIndex, key: int, stamps: np.ndarray, sparse: bool
    ) -> Iterator[np.ndarray]:
        """The pictures of those stamps, decoded from a key frame; ends early where one is missed.

        Of codecs with packets that have no picture of their own (VP8), the picture before is
        shown there; of the others InputError says that it cannot be decoded.
        """
        done, shown, to_rgb = 0, None, VideoReformatter()
        for stamp, frame in self._decode_from(index, key, stamps if sparse else None):
            if shown is None and key > 0 and stamp > stamps[0]:
                return
            while done < len(stamps) and stamps[done] < stamp:
                if sparse:
                    return
                self._require_repeatable(index, stamps[done])
                yield _pixels(shown or frame, index, to_rgb)
                done += 1
            if done < len(stamps) and stamps[done] == stamp:
                yield _pixels(frame, index, to_rgb)
                done += 1
            if done == len(stamps):
                return
            shown = frame
        if shown is not None and not sparse:
            for stamp in stamps[done:]:
                self._require_repeatable(index, stamp)
                yield _pixels(shown, index, to_rgb)

    def _require_repeatable(self, index: VideoIndex, stamp: int) -> None:
        """Raise InputError where a packet must have a picture, and none came out of it."""
        if index.codec in ONE_PICTURE_A_PACKET and not index.counted:
            raise self._undecodable(index, stamp)

    def _undecodable(self, index: VideoIndex, stamp: int) -> InputError:
        seconds = (stamp - index.stamps[0]) * index.time_base
        return damaged(self.path, f"the picture at {seconds:.2f} s cannot be decoded")

    def _decode_from(
        self, index: VideoIndex, key: int, wanted: np.ndarray | None
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames and their stamps from a key frame on; nothing where it cannot be found.

        Given the stamps that are ``wanted``, others on which no picture rests may be left out.
        Raises InputError for damaged pictures; those that begin before the key frame's do not
        count, for what they rest on may be missing.
        """
        counted = iter(index.stamps.tolist()) if index.counted else None
        start = index.stamps[index.keys[key]]
        passed_by = _passed_by(index, key, wanted) if wanted is not None else set()
        for step in (*STEPS_BACK, key):
            with opened_video(self.path) as (container, stream):
                stream.thread_type = "AUTO"
                stream.codec_context.thread_count = self.threads
                if key - step > 0:
                    # Where a format cannot seek, the packets before the key frame are passed by.
                    with suppress(av.FFmpegError):
                        container.seek(int(index.key_seeks[key - step]), stream=stream)
                packets = container.demux(stream)
                first = _first_packet(packets, index, key)
                if first is None:
                    continue
                for packet in chain([first], packets):
                    if packet_stamp(packet) in passed_by:
                        continue
                    for frame in packet.decode():
                        stamp = next(counted, None) if counted else frame_stamp(self.path, frame)
                        if stamp is None:
                            return  # more than were counted
                        if frame.is_corrupt and stamp >= start:
                            raise self._undecodable(index, stamp)
                        yield stamp, frame
                return


def _passed_by(index: VideoIndex, key: int, wanted: np.ndarray) -> set[int]:
    """The stamps of frames, from a key frame to the last wanted one, that need no decoding."""
    first = index.keys[key]
    last = np.searchsorted(index.stamps, wanted[-1])
    free = index.stamps[first:last][index.free[first:last]]
    return set(free.tolist()).difference(wanted.tolist())


def _runs(wanted: np.ndarray, keys: np.ndarray) -> list[np.ndarray]:
    """Split ascending numbers where a seek is cheaper than decoding on."""
    last_key = keys[np.searchsorted(keys, wanted, side="right") - 1]
    cuts = np.flatnonzero(last_key[1:] - wanted[:-1] > SKIPPABLE) + 1
    return np.split(wanted, cuts) if len(wanted) else []


def _first_packet(packets: Iterator[av.Packet], index: VideoIndex, key: int) -> av.Packet | None:
    """Advance to the packet of the key frame; None if the packets start behind it."""
    if key == 0:
        return next(packets)
    target = index.stamps[index.keys[key]]
    for packet in packets:
        if packet.is_keyframe and (stamp := packet_stamp(packet)) >= target:
            return packet if stamp == target else None
    return None


def _pixels(frame: av.VideoFrame, index: VideoIndex, to_rgb: VideoReformatter) -> np.ndarray:
    """The picture as it is shown: u8[H, W, 3], RGB, a view of the decoder's memory.

    One reformatter for many frames, without threads of its own, is several times faster than
    ``frame.to_ndarray(format="rgb24")``.
    """
    width, height = index.size
    plane = to_rgb.reformat(frame, width, height, "rgb24", threads=1).planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    picture = rows[:height, : width * 3].reshape(height, width, 3)
    return np.rot90(picture, index.rotation // 90)
