"""Lists of videos that are one action each, in the forms that Kinetics comes in."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path

import pandas as pd

from ava_eval.errors import InputError

OFFICIAL = ("label", "youtube_id", "time_start", "time_end")
LISTED = re.compile(r"(.+?)\s*[\s,]\s*([^\s,]+)")
"""``path label``: what is behind the last space, tab or comma is the label."""


def read_class_names(path: str | PathLike[str]) -> pd.DataFrame:
    """A ``LabelMap`` from a text file with a class a line, or from the labels of Kinetics' CSV.

    The ids count from 1 in the order of the lines, or of the sorted labels, as everyone counts
    them.
    """
    lines = _lines(path)
    if Path(path).suffix == ".csv":
        names = sorted({row["label"] for _, row in _cells(path, lines)})
    else:
        names = [line.strip() for _, line in lines]
    if not names:
        raise InputError.at(path, None, None, "a class on each line", "no line")
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InputError.at(path, None, None, "each class once", name)
    return pd.DataFrame({"action_id": range(1, len(names) + 1), "name": names})


def read_kinetics(
    path: str | PathLike[str],
    label_map: pd.DataFrame,
    first_label: int = 0,
    folders: Sequence[Path] = (),
) -> pd.DataFrame:
    """The videos of a list and their classes: a table ``video_id action_id``, a row per video.

    Two forms are read. Kinetics' own CSV has a header with ``label,youtube_id,time_start,
    time_end``: the label is a name of the label map and the video is ID_START_END, as the cut
    segments are called. Lists of PySlowFast and mmaction2 have a line ``path label`` a video,
    separated by the last tab, space or comma: the label is an id, of which ``first_label`` is the
    smallest, and the path, below one of ``folders`` where it is absolute, is the video's id.

    Raises InputError with file, line and column for a row that is neither, or an unknown label.
    """
    lines = list(_lines(path))
    if not lines:
        raise InputError.at(path, None, None, "a line for each video", "no line")
    if "youtube_id" in lines[0][1]:
        rows = _official_rows(path, lines, label_map)
    else:
        rows = _listed_rows(path, lines, label_map, first_label, folders)
    return pd.DataFrame(rows, columns=["video_id", "action_id"])


def _lines(path: str | PathLike[str]) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read; {error}") from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line


def _cells(
    path: str | PathLike[str], lines: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of Kinetics' own CSV with their line numbers."""
    rows = ((number, next(csv.reader([line]))) for number, line in lines)
    _, header = next(rows, (1, []))
    header = [word.strip() for word in header]
    for name in OFFICIAL:
        if name not in header:
            raise InputError.at(path, 1, name, f"a header with {', '.join(OFFICIAL)}")
    for number, cells in rows:
        if len(cells) != len(header):
            raise InputError.at(path, number, None, f"{len(header)} columns", ",".join(cells))
        yield number, dict(zip(header, cells, strict=True))


def _official_rows(
    path: str | PathLike[str], lines: Iterable[tuple[int, str]], label_map: pd.DataFrame
) -> Iterator[tuple[str, int]]:
    ids = dict(zip(label_map["name"], label_map["action_id"], strict=True))
    for number, row in _cells(path, lines):
        if row["label"] not in ids:
            remedy = "set data.label_map to the names, a line each, or to the CSV they come from"
            raise InputError.at(path, number, "label", "a class", row["label"], remedy)
        seconds = [_whole(path, number, name, row[name]) for name in ("time_start", "time_end")]
        yield f"{row['youtube_id']}_{seconds[0]:06d}_{seconds[1]:06d}", ids[row["label"]]


def _listed_rows(
    path: str | PathLike[str],
    lines: Sequence[tuple[int, str]],
    label_map: pd.DataFrame,
    first_label: int,
    folders: Sequence[Path],
) -> Iterator[tuple[str, int]]:
    known = set(label_map["action_id"])
    for number, line in lines:
        found = LISTED.fullmatch(line.strip())
        if found is None:
            raise InputError.at(path, number, None, "path and label", line)
        name, label = found.groups()
        action_id = _whole(path, number, "label", label) + 1 - first_label
        if action_id not in known:
            first, last = min(known) - 1 + first_label, max(known) - 1 + first_label
            expected = f"one of the {len(known)} classes, whose ids are from {first} to {last}"
            remedy = "lists that count from 0 need data.first_label=0"
            raise InputError.at(path, number, "label", expected, label, remedy)
        yield _video_id(path, number, name, folders), action_id


def _video_id(path: str | PathLike[str], number: int, name: str, folders: Sequence[Path]) -> str:
    if not name.startswith("/"):
        return name.removeprefix("./")
    for folder in folders:
        if Path(name).is_relative_to(folder):
            return Path(name).relative_to(folder).as_posix()
    where = " or ".join(map(str, folders))
    raise InputError.at(path, number, "path", f"a path below {where}", name)


def _whole(path: str | PathLike[str], number: int, column: str, cell: str) -> int:
    try:
        value = float(cell)
    except ValueError:
        value = -1.0
    if value < 0 or not value.is_integer():
        raise InputError.at(path, number, column, "a whole number from 0 on", cell)
    return int(value)
