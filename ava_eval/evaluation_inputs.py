"""The files of one evaluation, read straight into arrays, and what JSON says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ava_eval.box_sets import BoxSet
from ava_eval.box_sources import Check, check_found, check_truth, read_box_set, read_keys
from ava_eval.classes import Classes
from ava_eval.keyframes import KeyframeNumbers
from ava_eval.label_maps import read_labels
from ava_eval.progress import Progress
from ava_eval.protocol import Protocol, Ties
from ava_eval.scoring import Scored, score

_ROLES = ("groundtruth", "detections", "labelmap", "excluded", "keyframes")
T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """Ground truth, one or more files of detections, the classes and the excluded keyframes.

    ``files`` are the entries of ``inputs`` in JSON, without digests where none were asked for.
    """

    classes: Classes
    numbers: KeyframeNumbers
    truth: BoxSet
    found: list[BoxSet]
    excluded: np.ndarray
    files: list[dict[str, Any]]

    def paths(self, role: str) -> list[str]:
        """The files of a role."""
        return [file["path"] for file in self.files if file["role"] == role]

    def score(self, protocol: Protocol, ties: Ties = "fp-first", file: int = 0) -> Scored:
        """Apply a protocol to one of the files of detections."""
        return score(
            self.truth,
            self.found[file],
            self.numbers,
            self.classes.ids,
            protocol,
            keyframes=np.zeros(0, dtype=np.int64),
            excluded=self.excluded,
            ties=ties,
        )


class FileNotes:
    """Notes the files that were read, with their SHA-256 if ``digests``.

    ``progress`` shows how far the reading of a large one is.
    """

    def __init__(self, digests: bool, progress: bool = False) -> None:
        self._digests, self._progress = digests, progress
        self._entries = list[dict[str, Any]]()

    def read(self, role: str, path: str, reader: Callable[[str, Any], tuple[T, int]]) -> T:
        """What ``reader(path, digest)`` reads; it also says how many rows that was."""
        digest = hashlib.sha256() if self._digests else None
        progress = Progress(f"reading {path}", _size(path)) if self._progress else None
        meter = _Meter(digest, progress) if digest or progress else None
        try:
            result, rows = reader(path, meter)
        finally:
            if progress is not None:
                progress.close()
        known = {"sha256": digest.hexdigest()} if digest else {}
        self._entries.append({"role": role, "path": path, **known, "rows": rows})
        return result

    def entries(self) -> list[dict[str, Any]]:
        """The files by role."""
        return sorted(self._entries, key=lambda entry: _ROLES.index(entry["role"]))


class _Meter:
    """Sees the bytes of a file for a digest and a progress."""

    def __init__(self, digest: Any, progress: Progress | None) -> None:
        self._digest, self._progress = digest, progress

    def update(self, data: memoryview) -> None:
        if self._digest is not None:
            self._digest.update(data)
        if self._progress is not None:
            self._progress.add(len(data))


def _size(path: str) -> int | None:
    """The bytes of a file, None for what has no size, such as a pipe."""
    return (Path(path).stat().st_size or None) if Path(path).is_file() else None


def read_inputs(
    groundtruth: str,
    detections: Sequence[str],
    labelmap: str,
    excluded: str | None = None,
    *,
    digests: bool = False,
    progress: bool = False,
) -> Inputs:
    """Read the files; ``digests`` takes their SHA-256 on the way, ``progress`` shows it."""
    numbers, notes = KeyframeNumbers(), FileNotes(digests, progress)
    classes = notes.read("labelmap", labelmap, read_classes)

    def boxes(check: Check, path: str, digest: Any) -> tuple[BoxSet, int]:
        box_set = read_box_set(path, numbers, classes.ids, check, digest)
        return box_set, box_set.counts["rows"]

    truth = notes.read("groundtruth", groundtruth, partial(boxes, check_truth))
    keys = np.zeros(0, dtype=np.int64)
    if excluded is not None:
        keys = notes.read("excluded", excluded, partial(read_keys, numbers))
    found = [notes.read("detections", path, partial(boxes, check_found)) for path in detections]
    return Inputs(classes, numbers, truth, found, keys, notes.entries())


def read_classes(path: str, digest: Any = None) -> tuple[Classes, int]:
    """The classes of a label map, and their number."""
    classes = Classes.of(read_labels(path, digest))
    return classes, len(classes)
