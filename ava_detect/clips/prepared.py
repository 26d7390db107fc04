"""What ``ava-detect prepare`` made of a video: some of its frames, and when each was shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ava_detect.clips.frame_folder import FrameFolder
from ava_detect.clips.source import Video
from ava_detect.clips.video_file import VideoFile
from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError

MARKER = "prepared.json"
"""The file that ``prepare`` writes into its folder."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """What is kept beside a prepared copy.

    Attributes:
        times: f64[N], when each frame of the original is shown, in seconds after its first.
        kept: i64[K], numbers of the original's frames that the copy has, ascending.
        source: the digest of the original.
        settings: how the copy was made.
        content: SHA-256 of the copy's pixels as they were written; its file may differ between
            versions of the encoder.
    """

    times: np.ndarray
    kept: np.ndarray
    source: str
    settings: dict[str, Any]
    content: str

    def is_of(self, source: str, kept: np.ndarray, settings: dict[str, Any]) -> bool:
        """Whether the copy is what those would give."""
        same = self.source == source and self.settings == settings
        return same and np.array_equal(self.kept, kept)

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        with atomic_path(path) as temporary:
            np.savez(
                temporary,
                times=self.times,
                kept=self.kept,
                source=self.source,
                settings=json.dumps(self.settings, sort_keys=True),
                content=self.content,
            )

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read it; InputError where it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                return cls(
                    times=kept["times"],
                    kept=kept["kept"],
                    source=str(kept["source"]),
                    settings=json.loads(str(kept["settings"])),
                    content=str(kept["content"]),
                )
        except Exception as problem:  # what a damaged archive raises depends on the damage
            raise InputError(
                f"{path}: expected what `ava-detect prepare` wrote ({problem}); delete it, and"
                " prepare the video again"
            ) from problem


class PreparedVideo:
    """A copy of some frames of a video, which speaks of frames and times of the original.

    See ``Video``. A frame that the copy lacks is an error, never the one beside it.
    """

    def __init__(self, copy: Video, manifest: Manifest, path: Path) -> None:
        self.copy = copy
        self.manifest = manifest
        self.path = path

    @property
    def times(self) -> np.ndarray:
        """See ``Video.times``; those of the original."""
        return self.manifest.times

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """See ``Video.shape``: the number of frames is the original's, their size the copy's."""
        return len(self.manifest.times), *self.copy.shape[1:]

    @property
    def digest(self) -> str:
        """See ``Video.digest``: of the original, the settings, and the pixels that were kept."""
        facts = (self.manifest.source, self.manifest.settings, self.manifest.content)
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def walk(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        """See ``Video.walk``; InputError for a frame that was not kept."""
        kept = self.manifest.kept
        if len(self.copy.times) != len(kept):
            raise InputError(
                f"{self.path}: expected {len(kept)} frames, found {len(self.copy.times)}; delete"
                " it, and prepare the video again"
            )
        places = np.minimum(np.searchsorted(kept, wanted), len(kept) - 1)
        lacking = wanted[kept[places] != wanted]
        if len(lacking):
            raise InputError(
                f"{self.path}: frame {lacking[0]} of the original is not in this prepared copy;"
                " run `ava-detect prepare` again with the settings that you read it with"
                " (data.num_frames, data.sampling_rate, data.timebase, the annotations)"
            )
        return self.copy.walk(places)


def manifest_path(path: Path) -> Path:
    """Where the manifest of a copy lies: in a folder of frames, beside a video file."""
    return path / "frames.npz" if path.is_dir() else path.with_suffix(".frames.npz")


def is_prepared(path: Path) -> bool:
    """Whether a video is a prepared copy."""
    return manifest_path(path).is_file()


def open_prepared(path: Path, threads: int = 1) -> PreparedVideo:
    """A prepared copy of a video; InputError where its manifest is damaged."""
    manifest = Manifest.load(manifest_path(path))
    copy = FrameFolder(path, fps=1.0) if path.is_dir() else VideoFile(path, threads)
    return PreparedVideo(copy, manifest, path)
