"""The tables that the packages share: their columns, and checks that name the offending row.

==============  ===================================================================================
``Annotations`` ``video_id timestamp x1 y1 x2 y2 action_id person_id``: a row per person and action
``PersonBoxes`` ``video_id timestamp x1 y1 x2 y2 score``: the row number is the box's identity
``Detections``  ``PersonBoxes`` and ``action_id``: a row per box and action
``Keyframes``   ``video_id timestamp``, unique rows
``LabelMap``    ``action_id name``: ids unique, not contiguous, in the order of the file
==============  ===================================================================================

``video_id`` is a str, ``timestamp`` seconds (f64, six decimals), boxes f64 normalised to the frame,
ids i64, ``score`` f64. ``person_id`` is -1 where unknown; an ``action_id`` of -1 is a person
without any action.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from ava_eval.errors import InputError
from ava_eval.origin import Columns, Origin

if TYPE_CHECKING:
    import pandas as pd

BOX = ["x1", "y1", "x2", "y2"]
KEYFRAME_COLUMNS = ["video_id", "timestamp"]
PERSON_BOX_COLUMNS = [*KEYFRAME_COLUMNS, *BOX, "score"]
ANNOTATION_COLUMNS = [*KEYFRAME_COLUMNS, *BOX, "action_id", "person_id"]
DETECTION_COLUMNS = [*KEYFRAME_COLUMNS, *BOX, "action_id", "score"]
LABEL_MAP_COLUMNS = ["action_id", "name"]


def require_columns(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """Raise ``InputError`` unless ``table`` is a table that has all ``columns``."""
    if not hasattr(table, "columns"):
        raise InputError(f"{name}: expected a pandas.DataFrame, got {type(table).__name__}")
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{name}: expected the columns {' '.join(columns)}; missing: {missing}")


# What strict checks expect: the writer of challenge files and ``validate`` share it.
A_VIDEO_ID = "the id of a video, without blanks around it"
A_TIME = "a finite time in seconds"
A_BOX = "a box within [0, 1], with x1 < x2 and y1 < y2"
A_SCORE = "a finite number"


def is_video_id(name: str) -> bool:
    """Whether a video may be called so: not empty, no blanks around it."""
    return name != "" and name == name.strip()


def are_boxes(x1: np.ndarray, y1: np.ndarray, x2: np.ndarray, y2: np.ndarray) -> np.ndarray:
    """Marks the boxes that lie in [0, 1] and have an area -> bool[N]."""
    return (x1 >= 0) & (y1 >= 0) & (x2 <= 1) & (y2 <= 1) & (x1 < x2) & (y1 < y2)


def require_video_ids(table: pd.DataFrame, origin: Origin) -> None:
    """Strict: every video has an id, without blanks around it."""
    wrong = [name for name in table["video_id"].unique() if not is_video_id(str(name))]
    good = ~table["video_id"].isin(wrong).to_numpy(bool)
    origin.require(good, table, "video_id", A_VIDEO_ID)


def require_times(table: pd.DataFrame, origin: Origin) -> None:
    """Strict: every time is a finite number of seconds."""
    good = np.isfinite(table["timestamp"].to_numpy(np.float64))
    origin.require(good, table, "timestamp", A_TIME)


def require_boxes(table: pd.DataFrame, origin: Origin) -> None:
    """Strict: every box lies in [0, 1] and has an area."""
    x1, y1, x2, y2 = (table[column].to_numpy(np.float64) for column in BOX)
    origin.require(
        are_boxes(x1, y1, x2, y2),
        table,
        BOX,
        A_BOX,
        "coordinates are fractions of the frame's width and height: correct or remove the row",
    )


def require_upright_boxes(table: Columns, origin: Origin) -> None:
    """Ground truth for scoring: no corner pair is inverted (NaN and empty boxes pass)."""
    x1, y1, x2, y2 = (np.asarray(table[column], np.float64) for column in BOX)
    origin.require(
        ~((x1 > x2) | (y1 > y2)),
        table,
        BOX,
        "a ground-truth box with x1 <= x2 and y1 <= y2",
        "swap its corners or remove the row",
    )


def require_scores(table: Columns, origin: Origin, finite: bool = False) -> None:
    """No score is NaN; strict: none is infinite either."""
    score = np.asarray(table["score"], np.float64)
    good = np.isfinite(score) if finite else ~np.isnan(score)
    origin.require(good, table, "score", A_SCORE if finite else "a number, not NaN")


def require_whole_actions(table: pd.DataFrame, origin: Origin) -> None:
    """Every action is a whole number; a column of floats will do."""
    action = table["action_id"].to_numpy()
    whole = np.ones(len(action), dtype=bool)
    if action.dtype.kind not in "iu":
        number = np.asarray(table["action_id"], dtype=np.float64)
        whole = np.isfinite(number) & (np.rint(number) == number)
    origin.require(whole, table, "action_id", "a whole number")


def require_label_map(label_map: pd.DataFrame) -> None:
    """The map has a class, and each id once."""
    require_columns(label_map, LABEL_MAP_COLUMNS, "label map")
    if not len(label_map):
        raise InputError("label map: expected at least one class")
    origin = Origin("label map")
    require_whole_actions(label_map, origin)
    action = label_map["action_id"].to_numpy(np.int64)
    origin.require(action >= 1, label_map, "action_id", "an id from 1 on")
    once = ~label_map["action_id"].duplicated().to_numpy()
    origin.require(once, label_map, "action_id", "each id once")


def check_labels(
    annotations: pd.DataFrame,
    label_map: pd.DataFrame,
    path: str | PathLike[str],
    first_label: int = 1,
) -> None:
    """Raise ``InputError`` unless every ``action_id`` stands in the label map or is -1.

    ``path`` is the file that the annotations were read from, with ``first_label``; it is only read
    again to name the line of the first unknown id.
    """
    from ava_eval.csv_rows import read_rows

    known = [-1, *label_map["action_id"]]
    if annotations["action_id"].isin(known).all():
        return
    rows = read_rows(path)
    rows = rows.where(rows.width > 2)
    in_file = [-1, *(label_map["action_id"] - 1 + first_label)]
    for table, ids, origin in (
        (rows.table, in_file, rows.origin),
        (annotations, known, Origin(path)),
    ):
        origin.require(
            table["action_id"].isin(ids).to_numpy(),
            table,
            "action_id",
            f"one of the {len(label_map)} ids of the label map",
            "use the label map of this data set, or remove the row",
        )
