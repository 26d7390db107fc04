"""Box files in the layout of the published ones, each with a word on where it comes from."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pandas as pd

from ava_eval.atomic import atomic_path
from ava_eval.errors import InputError
from ava_eval.files import read_person_boxes, write_person_boxes


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

    Raises InputError when the JSON file beside it is broken or describes other rows.
    """
    beside = provenance_path(path)
    boxes = read_person_boxes(path)
    if not beside.is_file():
        return boxes, {}
    try:
        facts = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
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
