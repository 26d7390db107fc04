"""The files of one evaluation, read straight into arrays, and what JSON says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ava_eval.average_precision import Ties
from ava_eval.box_sets import BoxSet, Check, check_found, check_truth, read_box_set, read_keys
from ava_eval.classes import Classes
from ava_eval.keyframes import KeyframeNumbers
from ava_eval.label_maps import read_labels
from ava_eval.protocol import Protocol
from ava_eval.scoring import Scored, score

_ROLES = ("groundtruth", "detections", "labelmap", "excluded")


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


def read_inputs(
    groundtruth: str,
    detections: Sequence[str],
    labelmap: str,
    excluded: str | None = None,
    *,
    digests: bool = False,
) -> Inputs:
    """Read the files; ``digests`` takes their SHA-256 on the way."""
    numbers, files = KeyframeNumbers(), []

    def note(role: str, path: str, rows: int, digest: Any) -> None:
        known = {"sha256": digest.hexdigest()} if digest else {}
        files.append({"role": role, "path": path, **known, "rows": rows})

    def new_digest() -> Any:
        return hashlib.sha256() if digests else None

    labels = read_labels(labelmap, digest := new_digest())
    classes = Classes.of(labels)
    note("labelmap", labelmap, len(labels), digest)

    def read_boxes(role: str, path: str, check: Check) -> BoxSet:
        boxes = read_box_set(path, numbers, classes.ids, check, digest := new_digest())
        note(role, path, boxes.counts["rows"], digest)
        return boxes

    truth = read_boxes("groundtruth", groundtruth, check_truth)
    keys = np.zeros(0, dtype=np.int64)
    if excluded is not None:
        keys, rows = read_keys(excluded, numbers, digest := new_digest())
        note("excluded", excluded, rows, digest)
    found = [read_boxes("detections", path, check_found) for path in detections]
    files.sort(key=lambda file: _ROLES.index(file["role"]))
    return Inputs(classes, numbers, truth, found, keys, files)
