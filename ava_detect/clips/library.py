"""Many videos by their ids, whatever form their frames have."""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from ava_detect.clips.frame_folder import FrameFolder
from ava_detect.clips.prepared import PreparedVideo, is_prepared, open_prepared
from ava_detect.clips.search import SUFFIXES, find_videos, name_below
from ava_detect.clips.source import Video, read_frames
from ava_detect.clips.video_file import VideoFile
from ava_eval.errors import InputError

IN_MEMORY = 512
"""So many opened folders and prepared copies are kept by each process."""
SEGMENT = re.compile(r"(.+)_(\d{6})_(\d{6})")
"""How Kinetics names what it cuts out of a longer video: ID_START_END, in seconds."""


class Place(NamedTuple):
    """Where the frames of a video lie; ``start`` is its first frame's time, None for the usual."""

    path: Path
    start: float | None


class VideoLibrary:
    """Videos under some folders, by id; see ``ClipSource``.

    A video is a file, a folder of numbered images, or what ``prepare`` made of one. Its id is its
    path under the folder, with or without the suffix; its bare name; and, of a name
    ``ID_START_END``, ID, whose first frame then has the time START. Ids only choose among what
    the folders have: nothing else is opened.

    Args:
        roots: the folders, searched with all that is in them. Hidden files (unfinished downloads)
            are not videos.
        start: the time, in the tables' seconds, of the first frame of a video.
        frames_fps: the rate at which folders of images were extracted.
        cache_bytes: memory for whole decoded videos. While there is room, a video is decoded
            whole and kept. After that, it takes the place of those that were used least recently
            only when it is asked for twice running: reading in order gains from it, at random not.
        threads: of each decoder.
        listed: further videos by id, as ``read_frame_list`` gives them.
        prepared: the folders have copies by ``prepare``, and nothing else is a video.

    Threads may share the object. Forked processes share what was cached before and have a cache
    of their own from there; a pickled copy starts with an empty one.

    Raises:
        InputError: there is no such folder.
    """

    def __init__(
        self,
        *roots: str | os.PathLike[str],
        start: float = 0.0,
        frames_fps: float = 30.0,
        cache_bytes: int = 0,
        threads: int = 1,
        listed: Mapping[str, Video] | None = None,
        prepared: bool = False,
    ) -> None:
        self.roots = [Path(root) for root in roots]
        self.start = start
        self.frames_fps = frames_fps
        self.cache_bytes = cache_bytes
        self.threads = threads
        self.prepared = prepared
        self._listed = dict(listed or {})
        self._wholes: dict[str, list[Place]] = {}  # by the path below the folder
        self._places: dict[str, list[Place]] = {}  # by shorter ids
        self._ids: list[str] = list(self._listed)
        for root in self.roots:
            for path in find_videos(root):
                self._add(root, path)
        self._forget()

    def _add(self, root: Path, path: Path) -> None:
        """Note a video under all its ids."""
        whole = name_below(path, root)
        name = whole.rpartition("/")[2]
        segment = SEGMENT.fullmatch(name)
        self._ids.append(segment[1] if segment else name)
        self._wholes.setdefault(whole, []).append(Place(path, None))
        if name != whole:
            self._places.setdefault(name, []).append(Place(path, None))
        if segment:
            place = Place(path, float(segment[2]))
            self._places.setdefault(segment[1], []).append(place)

    def _forget(self) -> None:
        self._opened: OrderedDict[Path, Video] = OrderedDict()
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()
        self._cached_bytes = 0
        self._last_id: str | None = None
        self._lock = Lock()

    def __getstate__(self) -> dict[str, object]:
        own = ("_opened", "_cache", "_cached_bytes", "_last_id", "_lock")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._forget()

    @property
    def video_ids(self) -> list[str]:
        """The shortest id of each video, sorted."""
        return sorted(set(self._ids))

    def has(self, video_id: str) -> bool:
        """See ``ClipSource.has``; InputError where two videos have the id."""
        return video_id in self._listed or self._place(video_id) is not None

    def place(self, video_id: str) -> Place:
        """Where a video lies; InputError where there is none of that id."""
        place = self._place(video_id)
        if place is None:
            raise self._missing(video_id)
        return place

    def video(self, video_id: str) -> Video:
        """The frames of a video; InputError where there is none of that id."""
        if video_id in self._listed:
            return self._listed[video_id]
        path = self.place(video_id).path
        with self._lock:
            if path in self._opened:
                self._opened.move_to_end(path)
                return self._opened[path]
        video = self._open(path)
        with self._lock:
            self._opened[path] = video
            if len(self._opened) > IN_MEMORY:
                self._opened.popitem(last=False)
        return video

    def _open(self, path: Path) -> Video:
        if self.prepared or is_prepared(path):
            return open_prepared(path, self.threads)
        if path.is_dir():
            return FrameFolder(path, self.frames_fps)
        return VideoFile(path, self.threads)

    def path_of(self, video_id: str) -> Path | None:
        """The file or folder of a video; None for a listed one."""
        return None if video_id in self._listed else self.place(video_id).path

    def name_of(self, video_id: str) -> str:
        """A name for copies of the video: its path below its folder, without a suffix."""
        path = self.path_of(video_id)
        if path is None:
            return video_id
        return name_below(path, next(root for root in self.roots if path.is_relative_to(root)))

    def start_of(self, video_id: str) -> float:
        """The time of the video's first frame, in the tables' seconds."""
        place = None if video_id in self._listed else self.place(video_id)
        return self.start if place is None or place.start is None else place.start

    def frame_times(self, video_id: str) -> np.ndarray:
        """See ``ClipSource.frame_times``."""
        return self.video(video_id).times + self.start_of(video_id)

    def read(self, video_id: str, frames: np.ndarray) -> np.ndarray:
        """See ``ClipSource.read``."""
        cached = self._cached(video_id)
        return read_frames(self.video(video_id), frames) if cached is None else cached[frames]

    def walk(self, video_id: str, frames: np.ndarray) -> Iterator[np.ndarray]:
        """See ``ClipSource.walk``."""
        cached = self._cached(video_id)
        if cached is None:
            return self.video(video_id).walk(frames)
        return (cached[number] for number in frames)

    def fingerprint(self, video_ids: Iterable[str]) -> str:
        """See ``ClipSource.fingerprint``."""
        facts = [
            (video_id, self.video(video_id).digest, self.start_of(video_id))
            for video_id in sorted(set(video_ids))
        ]
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def preload(self, video_ids: Iterable[str], threads: int = 2) -> int:
        """Decode whole videos into the cache, several at once, while they fit; returns how many.

        Raises:
            InputError: a video is missing or broken.
        """
        chosen, room = [], self.cache_bytes - self._cached_bytes
        for video_id in dict.fromkeys(video_ids):
            if video_id not in self._cache:
                if not self._fits(video_id, room):
                    break
                room -= _num_bytes(self.video(video_id))
                chosen.append(video_id)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(self._keep_whole, chosen))  # raises what a thread raised
        return len(chosen)

    def _place(self, video_id: str) -> Place | None:
        places = self._wholes.get(video_id) or self._places.get(video_id)
        suffix = Path(video_id).suffix
        if places is None and suffix.lower() in SUFFIXES:
            bare, name = video_id[: -len(suffix)], video_id.rpartition("/")[2]
            for known in (self._wholes, self._places):
                places = places or [p for p in known.get(bare, []) if p.path.name == name]
        if not places:
            return None
        if len(places) > 1:
            raise InputError(
                f"video {video_id}: {places[0].path} and {places[1].path} are two videos of one"
                " id; remove one of them, or use longer ids (the path below the folder)"
            )
        return places[0]

    def _missing(self, video_id: str) -> InputError:
        where = " or ".join(map(str, self.roots)) or "the list of frames"
        return InputError(
            f"video {video_id}: expected a file of that name (.mp4, .mkv, .webm, ...) or a folder"
            f" of its frames in {where}, which has {len(set(self._ids))} others; add it there, or"
            " leave its rows out"
        )

    def _cached(self, video_id: str) -> np.ndarray | None:
        """All frames of a video from the cache, which may take it in now."""
        if self.cache_bytes == 0:
            return None
        with self._lock:
            frames = self._cache.get(video_id)
            if frames is not None:
                self._cache.move_to_end(video_id)
            repeated, self._last_id = self._last_id == video_id, video_id
            free = self.cache_bytes - (0 if repeated else self._cached_bytes)
        if frames is None and free > 0 and self._fits(video_id, free):
            frames = self._keep_whole(video_id)
        return frames

    def _fits(self, video_id: str, free: int) -> bool:
        """Whether all frames of a video take at most ``free`` bytes, and exist."""
        video = self.video(video_id)
        return not isinstance(video, PreparedVideo) and _num_bytes(video) <= free

    def _keep_whole(self, video_id: str) -> np.ndarray:
        """Decode a video into the cache, in the place of the least recently used ones."""
        video = self.video(video_id)
        self._make_room(_num_bytes(video))
        frames = read_frames(video, np.arange(len(video.times)))
        with self._lock:
            if video_id not in self._cache:
                self._cache[video_id] = frames
                self._cached_bytes += frames.nbytes
        self._make_room(0)
        return frames

    def _make_room(self, num_bytes: int) -> None:
        """Forget videos until so many bytes are free."""
        with self._lock:
            while self._cache and self._cached_bytes > self.cache_bytes - num_bytes:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes


def _num_bytes(video: Video) -> int:
    """Memory that all frames take."""
    return int(np.prod(video.shape))
