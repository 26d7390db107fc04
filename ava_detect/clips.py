"""Frames of videos at given times."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Protocol

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from ava_detect.timebase import (
    VideoIndex,
    frame_stamp,
    nearest_frames,
    opened_video,
    packet_stamp,
    scan_video,
)
from ava_eval.errors import InputError

SUFFIXES = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}
SKIPPABLE = 32
"""Decoding on through so many unwanted frames is cheaper than a new seek."""
STEPS_BACK = (0, 1, 4)
"""Key frames to step back when a seek lands too late; then the file is read from its start."""


class ClipSource(Protocol):
    """Videos, by id, whose frames can be had at any time."""

    def read(self, video_id: str, times: np.ndarray) -> np.ndarray:
        """The frames u8[T, H, W, 3], RGB, shown nearest to ``times`` f64[T].

        Times are seconds after the first frame; those outside of the video get its first or last
        frame. The caller owns the result. Raises InputError for a missing or broken video.
        """
        ...

    def has(self, video_id: str) -> bool:
        """Whether there is a video of that id."""
        ...

    def duration(self, video_id: str) -> float:
        """Seconds from the first frame to the end of the last."""
        ...


class VideoFile:
    """The frames of one video file, by number in the order of showing, each one exactly.

    The file is indexed at the first use and opened for each read, so that threads and forked
    processes can share the object.

    Args:
        path: the file.
        threads: of the decoder. More than one pays only where nothing else runs beside.
    """

    def __init__(self, path: str | os.PathLike[str], threads: int = 1) -> None:
        self.path = Path(path)
        self.threads = threads

    @cached_property
    def index(self) -> VideoIndex:
        """When the frames are shown; raises InputError for a file that is not a whole video."""
        return scan_video(self.path)

    @property
    def frame_times(self) -> np.ndarray:
        """f64[N], seconds after the first frame, ascending."""
        return self.index.times

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last, which lasts as long as most do."""
        gaps = np.diff(self.frame_times)
        return float(self.frame_times[-1] + (np.median(gaps) if len(gaps) else 0.0))

    @property
    def num_bytes(self) -> int:
        """Memory that all frames take."""
        return int(np.prod(self.index.shape))

    def read_all(self) -> np.ndarray:
        """All frames: u8[N, H, W, 3], RGB."""
        return self.read(np.arange(len(self.frame_times)))

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The frames of those numbers, in any order: u8[T, H, W, 3], RGB.

        Raises:
            InputError: the file cannot be decoded there.
            IndexError: there is no frame of such a number.
        """
        indices = np.asarray(indices, np.int64)
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(self.frame_times)):
            raise IndexError(f"{self.path} has frames 0 to {len(self.frame_times) - 1}")
        wanted, places = np.unique(indices, return_inverse=True)
        frames = np.empty((len(wanted), *self.index.shape[1:]), np.uint8)
        done = 0
        for run in self._runs(wanted):
            self._read_run(run, frames[done : done + len(run)])
            done += len(run)
        return frames if np.array_equal(wanted, indices) else frames[places]

    def _runs(self, wanted: np.ndarray) -> list[np.ndarray]:
        """Split ascending numbers where a seek is cheaper than decoding on."""
        keys = self.index.keys
        last_key = keys[np.searchsorted(keys, wanted, side="right") - 1]
        cuts = np.flatnonzero(last_key[1:] - wanted[:-1] > SKIPPABLE) + 1
        return np.split(wanted, cuts) if len(wanted) else []

    def _read_run(self, wanted: np.ndarray, out: np.ndarray) -> None:
        """Decode ascending frames into ``out``, from the last key frame that gives them all."""
        last_key = int(np.searchsorted(self.index.keys, wanted[0], side="right")) - 1
        for key in (last_key, last_key - 1, 0):
            if key >= 0 and self._decode_run(key, self.index.stamps[wanted], out):
                return
        raise InputError(f"{self.path}: changed while it was read")

    def _decode_run(self, key: int, stamps: np.ndarray, out: np.ndarray) -> bool:
        """Whether frames of those stamps came after that key frame, and are now in ``out``.

        A packet without a picture of its own (VP8 has some) shows the picture before it.
        """
        done, shown, to_rgb = 0, None, VideoReformatter()
        for stamp, frame in self._decode_from(key):
            if shown is None and key > 0 and stamp > stamps[0]:
                return False
            while done < len(stamps) and stamps[done] < stamp:
                out[done] = self._pixels(shown or frame, to_rgb)
                done += 1
            if done < len(stamps) and stamps[done] == stamp:
                out[done] = self._pixels(frame, to_rgb)
                done += 1
            if done == len(stamps):
                return True
            shown = frame
        if shown is not None:
            out[done:] = self._pixels(shown, to_rgb)
        return shown is not None

    def _decode_from(self, key: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames and their stamps from a key frame on; nothing where it cannot be found."""
        counted = iter(self.index.stamps.tolist()) if self.index.counted else None
        for step in (*STEPS_BACK, key):
            with opened_video(self.path) as (container, stream):
                stream.thread_type = "AUTO"
                stream.codec_context.thread_count = self.threads
                if key - step > 0:
                    # Where a format cannot seek, the packets before the key frame are passed by.
                    with suppress(av.FFmpegError):
                        container.seek(int(self.index.key_seeks[key - step]), stream=stream)
                packets = container.demux(stream)
                first = self._first_packet(packets, key)
                if first is None:
                    continue
                for packet in chain([first], packets):
                    for frame in packet.decode():
                        stamp = next(counted) if counted else frame_stamp(self.path, frame)
                        yield stamp, frame
                return

    def _first_packet(self, packets: Iterator[av.Packet], key: int) -> av.Packet | None:
        """Advance to the packet of the key frame; None if the packets start behind it."""
        if key == 0:
            return next(packets)
        target = self.index.stamps[self.index.keys[key]]
        for packet in packets:
            if packet.is_keyframe and (stamp := packet_stamp(packet)) >= target:
                return packet if stamp == target else None
        return None

    def _pixels(self, frame: av.VideoFrame, to_rgb: VideoReformatter) -> np.ndarray:
        """The picture as it is shown: u8[H, W, 3], RGB.

        One reformatter for many frames, without threads of its own, is several times faster
        than ``frame.to_ndarray(format="rgb24")``.
        """
        width, height = self.index.size
        converted = to_rgb.reformat(frame, width, height, "rgb24", threads=1)
        return np.rot90(converted.to_ndarray(), self.index.rotation // 90)


class VideoFolder:
    """The videos in a folder; the id of each is its file's name without the suffix.

    Args:
        root: the folder; folders in it are not searched.
        cache_bytes: memory for whole decoded videos. While there is room, a video is decoded
            whole and kept. After that, it takes the place of those that were used least recently
            only when it is asked for twice running: reading in order gains from it, at random not.
        threads: of each decoder.

    Threads may share the object. Forked processes share what was cached before and have a cache
    of their own from there; a pickled copy starts with an empty one.

    Raises:
        InputError: there is no such folder, or two of its videos have one id.
    """

    def __init__(
        self, root: str | os.PathLike[str], cache_bytes: int = 0, threads: int = 1
    ) -> None:
        self.root = Path(root)
        self.cache_bytes = cache_bytes
        self._files = {
            video_id: VideoFile(path, threads) for video_id, path in _listing(self.root).items()
        }
        self._forget()

    def _forget(self) -> None:
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()
        self._cached_bytes = 0
        self._last_id: str | None = None
        self._lock = Lock()

    def __getstate__(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("root", "cache_bytes", "_files")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._forget()

    @property
    def video_ids(self) -> list[str]:
        """All ids, sorted."""
        return sorted(self._files)

    def has(self, video_id: str) -> bool:
        """Whether the folder has a video of that id."""
        return video_id in self._files

    def duration(self, video_id: str) -> float:
        """Seconds from the first frame to the end of the last."""
        return self._file(video_id).duration

    def read(self, video_id: str, times: np.ndarray) -> np.ndarray:
        """See ``ClipSource.read``."""
        file = self._file(video_id)
        indices = nearest_frames(file.frame_times, np.asarray(times, np.float64))
        with self._lock:
            frames = self._cache.get(video_id)
            if frames is not None:
                self._cache.move_to_end(video_id)
            repeated, self._last_id = self._last_id == video_id, video_id
            free = self.cache_bytes - (0 if repeated else self._cached_bytes)
        if frames is None:
            if file.num_bytes > free:
                return file.read(indices)
            frames = file.read_all()
            self._keep(video_id, frames)
        return frames[indices]

    def preload(self, video_ids: Iterable[str], threads: int = 2) -> int:
        """Decode whole videos into the cache, several at once, while they fit; returns how many.

        Raises:
            InputError: a video is missing or broken.
        """
        chosen, room = [], self.cache_bytes - self._cached_bytes
        for video_id in dict.fromkeys(video_ids):
            if video_id not in self._cache:
                room -= self._file(video_id).num_bytes
                if room < 0:
                    break
                chosen.append(video_id)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(self._keep_whole, chosen))  # raises what a thread raised
        return len(chosen)

    def _keep_whole(self, video_id: str) -> None:
        self._keep(video_id, self._files[video_id].read_all())

    def _keep(self, video_id: str, frames: np.ndarray) -> None:
        """Put a decoded video into the cache, in the place of the least recently used ones."""
        with self._lock:
            if video_id in self._cache:
                return
            self._cache[video_id] = frames
            self._cached_bytes += frames.nbytes
            while self._cached_bytes > self.cache_bytes:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes

    def _file(self, video_id: str) -> VideoFile:
        try:
            return self._files[video_id]
        except KeyError:
            raise InputError(
                f"video {video_id}: expected a file of that name (.mp4, .mkv, .webm, ...) in"
                f" {self.root}, which has {len(self._files)} others; add it there, or leave its"
                " rows out"
            ) from None


def _listing(root: Path) -> dict[str, Path]:
    """The videos of a folder by id. Hidden files (unfinished downloads) are none."""
    if not root.is_dir():
        raise InputError(f"{root}: expected a folder of videos, found none")
    found: dict[str, Path] = {}
    for path in sorted(root.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in found:
            raise InputError(
                f"{root}: {found[path.stem].name} and {path.name} are two videos of one id;"
                " remove one of them"
            )
        found[path.stem] = path
    return found
