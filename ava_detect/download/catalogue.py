"""What is published for AVA: each file's address and its place in the data folder."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ava_eval.errors import InputError

_AVA = "https://s3.amazonaws.com/ava-dataset"
_META = "https://dl.fbaipublicfiles.com"
_VIDEO = re.compile(r"[A-Za-z0-9_-]+\.(mkv|mp4|webm)")


@dataclass(frozen=True)
class Entry:
    """A published file.

    ``path`` is where it goes below the data folder, ``digest`` is ``sha256:HEX`` or ``md5:HEX``.
    ``unpack`` holds (folder below the data folder, pattern of the members that go there).
    """

    url: str
    path: str
    group: str
    size: int | None = None
    digest: str | None = None
    unpack: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class VideoList:
    """A file that names the videos of a split; ``folder`` is the address they lie under."""

    group: str
    entry: Entry
    folder: str


GROUPS = {
    "annotations": "AVA v2.2, AVA-Kinetics v1.0 and the lists of the videos",
    "boxes": "person boxes: predicted ones of LFB, those of PySlowFast",
    "videos": "the 430 films",
    "videos-trainval": "299 films, 157 GB",
    "videos-test": "131 films",
    "weights": "detectors of PyTorchVideo and PySlowFast, and PySlowFast's Kinetics backbones",
}

_CAFFE2 = (
    *("C2D_8x8_R50", "SLOWFAST_32x2_R101_50_50_v2.1"),
    *("SLOWFAST_32x2_R101_50_50", "SLOWFAST_64x2_R101_50_50"),
)


def _names_of(split: str) -> VideoList:
    name = f"ava_file_names_{split}_v2.1.txt"
    entry = Entry(f"{_AVA}/annotations/{name}", f"annotations/{name}", "annotations")
    return VideoList(f"videos-{split}", entry, f"{_AVA}/{split}")


VIDEO_LISTS = (_names_of("trainval"), _names_of("test"))
ENTRIES = (
    Entry(
        f"{_AVA}/annotations/ava_v2.2.zip",
        "archives/ava_v2.2.zip",
        "annotations",
        unpack=(("annotations", "*"),),
    ),
    Entry(
        "https://storage.googleapis.com/deepmind-media/Datasets/ava_kinetics_v1_0.tar.gz",
        "archives/ava_kinetics_v1_0.tar.gz",
        "annotations",
        # Its ava_train_v2.2.csv has other columns than AVA's own; only the test keyframes, which
        # AVA's archive lacks as a CSV, belong beside those.
        unpack=(("annotations/ava_kinetics_v1_0", "*"), ("annotations", "ava_test_v2.2.csv")),
    ),
    *(videos.entry for videos in VIDEO_LISTS),
    *(
        Entry(
            f"{_META}/video-long-term-feature-banks/data/ava/annotations/{name}",
            f"boxes/{name}",
            "boxes",
        )
        for name in (f"ava_{split}_predicted_boxes.csv" for split in ("train", "val", "test"))
    ),
    Entry(
        f"{_META}/pyslowfast/annotation/ava/ava_annotations.tar",
        "archives/ava_annotations.tar",
        "boxes",
        unpack=(("boxes/pyslowfast", "*"),),
    ),
    *(
        Entry(f"{_META}/pytorchvideo/model_zoo/ava/{name}", f"weights/{name}", "weights")
        for name in ("SLOW_4x16_R50_DETECTION.pyth", "SLOWFAST_8x8_R50_DETECTION.pyth")
    ),
    *(
        Entry(
            f"{_META}/pyslowfast/model_zoo/ava/{folder}{name}.pkl",
            f"weights/{folder}{name}.pkl",
            "weights",
        )
        for folder in ("", "pretrain/")
        for name in _CAFFE2
    ),
)


def select(
    words: Iterable[str], entries: Sequence[Entry] = ENTRIES
) -> tuple[list[Entry], list[str]]:
    """The entries that ``words`` name, and those of the words that speak of videos.

    A word is a group, or a file by its path in the data folder or its name alone. Videos are known
    only once the lists that name them are here.
    """
    chosen: dict[str, Entry] = {}
    videos = []
    for word in words:
        if word in ("videos", *(v.group for v in VIDEO_LISTS)) or _is_video(word):
            videos.append(word)
            continue
        found = [entry for entry in entries if word == entry.group]
        found = found or [entry for entry in entries if word == entry.path]
        if not found:
            found = [e for e in entries if word == PurePosixPath(e.path).name]
            if len(found) > 1:
                paths = " or ".join(entry.path for entry in found)
                raise InputError(f"{word}: expected the name of one file; say {paths}")
        if not found:
            raise _unknown(word, entries)
        chosen |= {entry.path: entry for entry in found}
    return list(chosen.values()), videos


def lists_for(words: Iterable[str]) -> list[VideoList]:
    """The lists to read for ``words`` that speak of videos; a single one may stand in any."""
    words = set(words)
    return [
        videos
        for videos in VIDEO_LISTS
        if words & {"videos", videos.group} or any(_is_video(word) for word in words)
    ]


def _is_video(word: str) -> bool:
    return _VIDEO.fullmatch(word.removeprefix("videos/")) is not None


def _unknown(word: str, entries: Sequence[Entry]) -> InputError:
    names = [*GROUPS, *(e.path for e in entries), *(PurePosixPath(e.path).name for e in entries)]
    close = difflib.get_close_matches(word, names, 1)
    hint = f"did you mean {close[0]!r}?" if close else "--list with a group shows its files"
    return InputError.at("WHAT", None, None, f"a file or one of {', '.join(GROUPS)}", word, hint)


def read_names(path: Path) -> list[str]:
    """The names in a list of videos, a line each; anything but a plain file name is refused."""
    names = []
    # Each name becomes a part of an address and of a path: no separator may hide in it.
    for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").split("\n"), 1):
        name = line.rstrip("\r")
        if not name:
            continue
        if not _VIDEO.fullmatch(name):
            expected = "a plain name of letters, digits, _ and - that ends with .mkv, .mp4 or .webm"
            raise InputError.at(
                path, number, None, expected, name, "remove the file to fetch it again"
            )
        names.append(name)
    return names


def videos_of(videos: VideoList, path: Path, words: Iterable[str]) -> list[Entry]:
    """The videos of the list at ``path`` that ``words`` (see ``select``) ask for."""
    words = set(words)
    whole = bool(words & {"videos", videos.group})
    return [
        Entry(f"{videos.folder}/{name}", f"videos/{name}", videos.group)
        for name in dict.fromkeys(read_names(path))
        if whole or words & {name, f"videos/{name}"}
    ]
