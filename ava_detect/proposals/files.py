"""Box files in the layouts of the published ones, each with a word on where it comes from."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ava_detect.safe_pickle import read_pickle
from ava_eval.atomic import atomic_path
from ava_eval.csv_parsing import parse_time
from ava_eval.errors import InputError
from ava_eval.files import read_person_boxes, write_person_boxes
from ava_eval.keyframes import canonical_times
from ava_eval.tables import A_BOX, A_SCORE, BOX, PERSON_BOX_COLUMNS, are_boxes, is_video_id

ROUNDING = 1e-3  # how far corners may stand outside of the frame, as half-precision ones do

_log = logging.getLogger(__name__)


def write_proposals(
    boxes: pd.DataFrame, path: str | os.PathLike[str], provenance: dict | None = None
) -> None:
    """Write rows ``video_id,timestamp,x1,y1,x2,y2,,score`` and ``PATH.json`` beside them.

    The layout is that of the box files published with long-term feature banks. The JSON file keeps
    ``provenance`` (the detector's name, the digest of its weights, settings), the number of rows
    and the SHA-256 of the CSV, by which a reader knows that the two belong together.
    """
    write_person_boxes(boxes, path)
    facts = dict(provenance or {}) | {"rows": len(boxes), "sha256": file_digest(path)}
    with atomic_path(provenance_path(path)) as temporary:
        temporary.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_proposals(path: str | os.PathLike[str]) -> tuple[pd.DataFrame, dict]:
    """Return the PersonBoxes of a box file and its provenance ({} for files of others).

    A name that ends in ``.pkl`` is mmaction2's pickle: a dictionary from ``video_id,0902`` to an
    array of N rows ``x1 y1 x2 y2 score``, or without the score, which is 1 then. Others are CSVs.
    Raises InputError when the file is no such thing or names code to run (nothing of it is run), or
    when the JSON file beside it is broken or describes other rows.
    """
    beside = provenance_path(path)
    is_pickle = Path(path).suffix.lower() == ".pkl"
    boxes = _read_pickled_boxes(Path(path)) if is_pickle else read_person_boxes(path)
    if not beside.is_file():
        return boxes, {}
    try:
        facts = json.loads(beside.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError.at(beside, None, None, "JSON", remedy="delete it") from error
    if not isinstance(facts, dict):
        raise InputError.at(beside, None, None, "a JSON object", facts, remedy="delete it")
    if facts.get("sha256") != file_digest(path):
        raise InputError.at(
            beside, None, None, f"the sha256 of {path}", facts.get("sha256"),
            remedy="the box file has changed since: propose again, or delete the JSON file",
        )  # fmt: skip
    return boxes, facts


def provenance_path(path: str | os.PathLike[str]) -> Path:
    """Return where the provenance of a box file lies."""
    return Path(f"{os.fspath(path)}.json")


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_pickled_boxes(path: Path) -> pd.DataFrame:
    """PersonBoxes of mmaction2's pickle, in its order; see ``read_proposals``."""
    content = read_pickle(path, "person boxes")
    if not isinstance(content, dict):
        raise InputError.at(
            path, None, None, "a dictionary 'video_id,0902' -> boxes", type(content).__name__
        )
    keys = list(content)
    keyframes = [_keyframe_of(path, key) for key in keys]
    arrays = [_array_of(path, key, content[key]) for key in keys]
    key_of = np.repeat(np.arange(len(keys)), [len(array) for array in arrays])
    rows = np.concatenate([np.empty((0, 5)), *arrays])
    corners, score = rows[:, :4], rows[:, 4]
    inside = np.clip(corners, 0, 1)
    clipped = (inside != corners).any(axis=1)
    near = (np.abs(inside - corners) <= ROUNDING).all(axis=1)
    fractions = "coordinates are fractions of the frame's width and height"
    for good, values, expected, remedy in (
        (near & are_boxes(*inside.T), corners, A_BOX, fractions),
        (np.isfinite(score), score, A_SCORE, ""),
    ):
        if not good.all():
            row = int(np.argmin(good))
            raise _key_error(path, keys[key_of[row]], expected, values[row].tolist(), remedy)
    if clipped.any():
        _log.warning(
            "warning: %d boxes of %s reach up to %g beyond the frame and are clipped to it",
            clipped.sum(),
            path,
            np.abs(inside - corners).max(),
        )
    video_ids = np.array([video_id for video_id, _ in keyframes], dtype=object)
    times = canonical_times(np.array([time for _, time in keyframes], dtype=np.float64))
    table = pd.DataFrame(inside, columns=BOX).assign(
        video_id=video_ids[key_of], timestamp=times[key_of], score=score
    )
    table = table.astype({"video_id": str})[PERSON_BOX_COLUMNS]
    return table.drop_duplicates(["video_id", "timestamp", *BOX], ignore_index=True)


def _keyframe_of(path: Path, key: Any) -> tuple[str, float]:
    """The video and the time of a key ``video_id,0902``."""
    video_id, _, text = key.rpartition(",") if isinstance(key, str) else ("", "", "")
    try:
        time = parse_time(text)
    except (ValueError, ArithmeticError):
        time = np.nan
    if not (is_video_id(video_id) and np.isfinite(time)):
        raise _key_error(path, key, "a video's id, a comma and a time, as in 'video_id,0902'")
    return video_id, time


def _array_of(path: Path, key: Any, value: Any) -> np.ndarray:
    """The boxes of a key: f64[N, 5], with their scores."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(())
    if array.shape == (0,):
        array = np.empty((0, 5))
    if array.ndim != 2 or array.shape[1] not in (4, 5):
        got = f"an array of shape {array.shape}" if array.shape else type(value).__name__
        raise _key_error(path, key, "N rows x1 y1 x2 y2 with or without a score", got)
    return array if array.shape[1] == 5 else np.insert(array, 4, 1.0, axis=1)


def _key_error(
    path: Path, key: Any, expected: str, got: object = None, remedy: str = ""
) -> InputError:
    shown = repr(key)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return InputError.at(f"{path}: key {shown}", None, None, expected, got, remedy)
