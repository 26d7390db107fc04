"""PySlowFast's lists of frames: which image files are the frames of which video."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow
import pyarrow.compute as arrow
from pyarrow import csv as arrow_csv

from ava_detect.clips.frame_folder import FrameFolder
from ava_eval.errors import InputError

COLUMNS = ["original_vido_id", "video_id", "frame_id", "path", "labels"]
"""The second letter o of the first is missing in the files, too."""


def read_frame_list(path: str | os.PathLike[str], root: Path, fps: float) -> dict[str, FrameFolder]:
    """The videos of a list such as ``frame_lists/val.csv``, by id; its images lie under ``root``.

    Rows are ``original_vido_id video_id frame_id path labels``, separated by blanks, behind a
    line of headings. ``frame_id`` counts from 0 and places the frame in time, so that a missing
    line shifts no other frame (PySlowFast itself counts lines). A path that leaves ``root`` is an
    error.
    """
    try:
        table = arrow_csv.read_csv(
            os.fspath(path),
            arrow_csv.ReadOptions(column_names=COLUMNS, skip_rows=1),
            arrow_csv.ParseOptions(delimiter=" "),
            arrow_csv.ConvertOptions(
                column_types={
                    COLUMNS[0]: pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
                    "frame_id": pyarrow.int64(),
                    "path": pyarrow.string(),
                },
                include_columns=[COLUMNS[0], "frame_id", "path"],
            ),
        ).combine_chunks()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such list of frames") from error
    except pyarrow.ArrowInvalid as error:
        raise _first_problem(path) or InputError(f"{path}: {error}") from error
    paths = table["path"]
    leaving = arrow.or_(arrow.starts_with(paths, "/"), arrow.match_substring(paths, ".."))
    for row in np.flatnonzero(leaving.to_numpy(zero_copy_only=False)):
        if not is_inside(paths[int(row)].as_py()):
            raise InputError.at(
                path, int(row) + 2, "path", "a path within the folder of frames",
                paths[int(row)].as_py(),
            )  # fmt: skip
    videos = table[COLUMNS[0]].unify_dictionaries().combine_chunks()
    codes = np.asarray(videos.indices)
    order = np.lexsort((table["frame_id"].to_numpy(), codes))
    names = videos.dictionary.to_pylist()
    cuts = np.searchsorted(codes[order], np.arange(len(names) + 1))
    frame_ids = table["frame_id"].to_numpy()
    found = {}
    for code, video_id in enumerate(names):
        if not is_inside(video_id):  # copies of videos are named by their ids
            raise InputError.at(path, None, COLUMNS[0], "an id without '..'", video_id)
        rows = order[cuts[code] : cuts[code + 1]]
        numbers = frame_ids[rows]
        double = np.flatnonzero(np.diff(numbers) == 0)
        if len(double):
            raise InputError.at(
                path, int(rows[double[0] + 1]) + 2, "frame_id", "each frame once",
                int(numbers[double[0]]),
            )  # fmt: skip
        found[video_id] = FrameFolder(root, fps, _Names(paths.take(rows)), numbers)
    return found


def is_inside(path: str) -> bool:
    """Whether a relative path stays below the folder it is relative to."""
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts


class _Names:
    """Strings that stay in Arrow's memory: the list of AVA's training split has six million."""

    def __init__(self, column: pyarrow.ChunkedArray) -> None:
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, place: int) -> str:
        return self.column[int(place)].as_py()

    def __iter__(self) -> Iterator[str]:
        return iter(self.column.to_pylist())


def _first_problem(path: str | os.PathLike[str]) -> InputError | None:
    """The first line that is not a row of the list."""
    with Path(path).open(encoding="utf-8", newline="") as lines:
        for line, row in enumerate(csv.reader(lines, delimiter=" "), 1):
            if line > 1 and len(row) != len(COLUMNS):
                expected = f"{len(COLUMNS)} columns ({' '.join(COLUMNS)})"
                return InputError.at(path, line, None, expected, " ".join(row))
            if line > 1 and not row[2].isdigit():
                return InputError.at(path, line, "frame_id", "a number from 0 on", row[2])
    return None
