"""Indices of video files, kept on disk: a movie is passed over once, not in every run."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np

from ava_detect.video_index import VideoIndex, scan_video
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError

VERSION = 3
"""Raise it when the same file would be indexed otherwise."""
IN_MEMORY = 512
"""So many indices are kept by each process; that of a 15-minute video takes 0.4 MB."""

_log = logging.getLogger(__name__)
_recent: OrderedDict[tuple, VideoIndex] = OrderedDict()
_unsaved: dict[tuple, VideoIndex] = {}
_broken: dict[tuple, str] = {}
_lock = Lock()


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/ava_detect/index``, in ``~/.cache`` where that is not set."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ava_detect" / "index"


def cached_index(path: Path) -> VideoIndex:
    """The index of a video file, from memory, from disk, or by a pass over the file.

    A file that changes (its size, or a time of change) is indexed anew. Raises InputError for a
    file that is not a whole video.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"{path}: expected a video file: {error.strerror}") from error
    changed = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    key = (str(path.absolute()), *changed, VERSION)
    with _lock:
        if key in _recent:
            _recent.move_to_end(key)
            return _recent[key]
        if key in _unsaved:
            return _unsaved[key]
        if key in _broken:
            raise InputError(_broken[key])
    try:
        index = _from_disk(path, key)
    except InputError as problem:
        with _lock:
            _broken[key] = str(problem)
        raise
    with _lock:
        _recent[key] = index
        while len(_recent) > IN_MEMORY:
            _recent.popitem(last=False)
    return index


def _from_disk(path: Path, key: tuple) -> VideoIndex:
    kept = cache_folder() / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:40]}.npz"
    try:
        return _load(kept)
    except FileNotFoundError:
        pass
    except Exception as problem:  # what a damaged archive raises depends on where the damage is
        _log.warning("warning: %s: unreadable, made anew (%s)", kept, problem)
    index = scan_video(path)
    try:
        _save(index, kept)
    except (InputError, OSError) as problem:
        if not _unsaved:
            _log.warning("warning: every run will pass over the videos anew: %s", problem)
        _unsaved[key] = index
    return index


def _save(index: VideoIndex, path: Path) -> None:
    with atomic_path(path) as temporary:
        np.savez(
            temporary,
            stamps=index.stamps,
            time_base=index.time_base,
            keys=index.keys,
            key_seeks=index.key_seeks,
            facts=np.array([index.counted, *index.size, index.rotation], np.int64),
            codec=index.codec,
            free=np.packbits(index.free),
        )


def _load(path: Path) -> VideoIndex:
    with np.load(path, allow_pickle=False) as kept:
        stamps = kept["stamps"]
        counted, width, height, rotation = (int(value) for value in kept["facts"])
        return VideoIndex(
            stamps=stamps,
            time_base=float(kept["time_base"]),
            keys=kept["keys"],
            key_seeks=kept["key_seeks"],
            counted=bool(counted),
            size=(width, height),
            rotation=rotation,
            codec=str(kept["codec"]),
            free=np.unpackbits(kept["free"], count=len(stamps)).astype(bool),
        )
