"""What in a folder is a video."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ava_detect.clips.frame_folder import is_image
from ava_detect.clips.prepared import MARKER
from ava_eval.errors import InputError

SUFFIXES = {
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".ogv", ".ts", ".vob", ".webm", ".wmv"),
}
FIRST_FILES = 64
"""So many files of a folder tell whether it is one of images."""


def find_videos(root: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """The videos under a folder: files, and folders of numbered images without a video file.

    Left out are links that lead back to a folder ``above``, what ``prepare`` made of videos, and
    folders in it that may not be read.
    """
    if not root.is_dir():
        raise InputError(f"{root}: expected a folder of videos, found none")
    state = root.stat()
    here = (state.st_dev, state.st_ino)
    try:
        inner = sorted(entry.name for entry in os.scandir(root) if entry.name[0] != ".")
    except PermissionError:
        if above:
            return
        raise
    if here in above or (above and MARKER in inner):
        return
    for path in (root / name for name in inner):
        if path.suffix.lower() in SUFFIXES and not path.is_dir():
            yield path
        elif path.is_dir():
            if _is_frame_folder(path):
                yield path
            else:
                yield from find_videos(path, above | {here})


def _is_frame_folder(folder: Path) -> bool:
    """Whether one of the first files in it is a numbered image, and none a video.

    It may have 27,000 files: only the first are looked at.
    """
    try:
        with os.scandir(folder) as entries:
            files = [entry.name for entry in islice(entries, FIRST_FILES) if entry.is_file()]
    except PermissionError:
        return False
    videos = any(Path(name).suffix.lower() in SUFFIXES for name in files)
    return not videos and any(is_image(name) for name in files)


def name_below(path: Path, root: Path) -> str:
    """The path of a video below its folder, without a suffix."""
    name = path.relative_to(root).as_posix()
    return name[: -len(path.suffix)] if path.suffix.lower() in SUFFIXES else name
