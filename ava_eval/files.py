"""AVA's files <-> the tables of ``ava_eval.tables``.

CSVs may be ``.gz``, may mix row widths, and may have tabs in place of all commas.
"""

from __future__ import annotations

import gzip
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
from pyarrow import csv as arrow_csv

from ava_eval.atomic import atomic_path
from ava_eval.csv_rows import CsvRows, read_rows
from ava_eval.keyframes import distinct_keyframes, format_times
from ava_eval.label_maps import COUNTED_FROM_0, read_labels
from ava_eval.open_files import is_gzip
from ava_eval.origin import Origin
from ava_eval.tables import (
    ANNOTATION_COLUMNS,
    BOX,
    DETECTION_COLUMNS,
    LABEL_MAP_COLUMNS,
    PERSON_BOX_COLUMNS,
    require_boxes,
    require_columns,
    require_scores,
    require_times,
    require_upright_boxes,
)

AnyPath = str | PathLike[str]


def read_annotations(path: AnyPath, strict: bool = True, first_label: int = 1) -> pd.DataFrame:
    """Read ground truth (7 or 8 columns) into ``Annotations``; two-column rows are skipped.

    Strict, for training: boxes lie in [0, 1] and have an area, actions are >= ``first_label``,
    times are finite, person ids are whole. Otherwise what the official script takes, for scoring:
    only inverted boxes are refused, and a column ``score`` is added, which is the eighth column as
    that script reads it (1.0 where there is none); a ``person_id`` that is no whole number then
    becomes -1. Where the smallest action id of the file may be 0 (``first_label``), all are raised
    by one.
    """
    return annotations_of(read_rows(path), strict, first_label)


def annotations_of(rows: CsvRows, strict: bool = True, first_label: int = 1) -> pd.DataFrame:
    """``Annotations`` from the rows of a file; see ``read_annotations``."""
    rows = rows.where(rows.width > 2)
    table, eighth = rows.table, rows.table["score"].to_numpy()
    whole = (np.abs(eighth) < 2.0**53) & (np.rint(eighth) == eighth)
    if strict:
        require_times(table, rows.origin)
        require_boxes(table, rows.origin)
        _require_actions(rows, first_label)
        rows.origin.require(
            whole,
            table.rename(columns={"score": "person_id"}),
            "person_id",
            "a whole number",
            "the eighth column of annotations is a person id, not a score",
        )
    else:
        require_upright_boxes(table, rows.origin)
        require_scores(table, rows.origin)
    person = np.where(whole & (rows.width == 8), eighth, -1).astype(np.int64)
    annotations = _raised(table, first_label).assign(person_id=person)[ANNOTATION_COLUMNS]
    return annotations if strict else annotations.assign(score=eighth)


def read_labelled_boxes(path: AnyPath, first_label: int = 1) -> pd.DataFrame:
    """Read PySlowFast's ``video_id,timestamp,x1,y1,x2,y2,label,score`` of detected people.

    Gives the columns of ``Annotations`` and ``score``; a row per box and label, ``person_id`` -1.
    A label of -1 is a person without any action, which the name of the published files calls a
    negative; the others are ids from ``first_label`` on, raised as by ``read_annotations``.
    Two-column rows are skipped.
    """
    rows = _boxes_with_scores(read_rows(path), "video_id,timestamp,x1,y1,x2,y2,label,score")
    _require_actions(rows, first_label, negatives=True)
    table = _raised(rows.table, first_label).assign(person_id=np.int64(-1))
    return table[[*ANNOTATION_COLUMNS, "score"]]


def _require_actions(rows: CsvRows, first_label: int, negatives: bool = False) -> None:
    """Strict: every action is an id that the file may have, or -1 with ``negatives``."""
    action = rows.table["action_id"].to_numpy()
    good = (action >= first_label) | (negatives & (action == -1))
    wrong = action[~good][:1]
    rows.origin.require(
        good,
        rows.table,
        "action_id",
        f"an action id from {first_label} on{', or -1 for none' if negatives else ''}",
        COUNTED_FROM_0 if (wrong == 0).any() else "",
    )


def _raised(table: pd.DataFrame, first_label: int) -> pd.DataFrame:
    """The table with actions that count from 1; -1, no action, stays."""
    if first_label == 1:
        return table
    action = table["action_id"].to_numpy()
    return table.assign(action_id=np.where(action == -1, -1, action + 1 - first_label))


def read_keyframes(path: AnyPath) -> pd.DataFrame:
    """The ``Keyframes`` of every row of a CSV, whatever its width, in order of appearance."""
    return distinct_keyframes(read_rows(path).table)


def read_excluded(path: AnyPath) -> pd.DataFrame:
    """The ``Keyframes`` of an exclusion list such as ``ava_val_excluded_timestamps_v2.2.csv``."""
    return read_keyframes(path)


def read_detections(path: AnyPath) -> pd.DataFrame:
    """Read ``Detections`` as leniently as the official script; two-column rows are skipped.

    A row of 7 columns has the score 1.0. Only NaN scores are refused: what they would do there
    depends on the machine.
    """
    return detections_of(read_rows(path))


def detections_of(rows: CsvRows) -> pd.DataFrame:
    """``Detections`` from the rows of a file; see ``read_detections``."""
    rows = rows.where(rows.width > 2)
    require_scores(rows.table, rows.origin)
    return rows.table[DETECTION_COLUMNS]


def read_person_boxes(path: AnyPath) -> pd.DataFrame:
    """Read published person boxes, ``video_id,timestamp,x1,y1,x2,y2,,score``, as ``PersonBoxes``.

    The seventh column (an action, or nothing) is not read; a box that is listed once for each of
    its actions is kept once, with its first score. Two-column rows are skipped.
    """
    rows = read_rows(path, labels=False)
    rows = _boxes_with_scores(rows, "video_id,timestamp,x1,y1,x2,y2,,score")
    table = rows.table[PERSON_BOX_COLUMNS].drop_duplicates(["video_id", "timestamp", *BOX])
    return table.reset_index(drop=True)


def _boxes_with_scores(rows: CsvRows, layout: str) -> CsvRows:
    """The rows of boxes, each of which has a score; strict."""
    rows = rows.where(rows.width > 2)
    rows.origin.require(
        rows.width == 8,
        rows.table.assign(columns=rows.width),
        "columns",
        f"8 columns ({layout})",
    )
    require_times(rows.table, rows.origin)
    require_boxes(rows.table, rows.origin)
    require_scores(rows.table, rows.origin, finite=True)
    return rows


def read_label_map(path: AnyPath, first_label: int = 1) -> pd.DataFrame:
    """Read a ``LabelMap`` in either dialect: ``label { name label_id }``, ``item { name id }``.

    Where the smallest id of the file may be 0 (``first_label``), all are raised by one.
    """
    labels = read_labels(path, first_label=first_label)
    return pd.DataFrame(labels, columns=LABEL_MAP_COLUMNS).astype({"name": str})


def write_annotations(annotations: pd.DataFrame, path: AnyPath) -> None:
    """Write ``Annotations``, bit for bit readable again; no eighth column without person ids."""
    require_columns(annotations, ANNOTATION_COLUMNS, "annotations")
    require_boxes(annotations, Origin("annotations"))
    columns = ANNOTATION_COLUMNS
    if (annotations["person_id"] == -1).all():
        columns = columns[:-1]
    _write(annotations[columns], path)


def write_detections(detections: pd.DataFrame, path: AnyPath) -> None:
    """Write ``Detections``, bit for bit readable again."""
    require_columns(detections, DETECTION_COLUMNS, "detections")
    require_scores(detections, Origin("detections"))
    _write(detections[DETECTION_COLUMNS], path)


def write_person_boxes(boxes: pd.DataFrame, path: AnyPath) -> None:
    """Write ``PersonBoxes`` as the published lists are: six decimals, an empty seventh column."""
    require_columns(boxes, PERSON_BOX_COLUMNS, "person boxes")
    require_scores(boxes, Origin("person boxes"), finite=True)
    table = boxes[PERSON_BOX_COLUMNS].astype(dict.fromkeys([*BOX, "score"], np.float64))
    table[BOX] = table[BOX].round(6)
    require_boxes(table, Origin("person boxes"))
    table.insert(6, "label", "")
    _write(table, path, float_format="%.6f")


def _write(table: pd.DataFrame, path: AnyPath, float_format: str | None = None) -> None:
    require_times(table, Origin("table"))
    floats = [column for column in [*BOX, "score"] if column in table.columns]
    table = table.astype(dict.fromkeys(floats, np.float64))
    table["timestamp"] = format_times(table["timestamp"].to_numpy())
    with atomic_path(path) as temporary:
        if float_format is not None:
            packing = "gzip" if is_gzip(path) else None
            table.to_csv(
                temporary,
                header=False,
                index=False,
                float_format=float_format,
                compression=packing,
            )
            return
        # As many digits as a number needs, six times as fast as pandas.
        rows = pyarrow.Table.from_pandas(table, preserve_index=False)
        try:
            _write_rows(rows, temporary, "none")
        except pyarrow.ArrowInvalid:  # a comma or a quote in an id
            _write_rows(rows, temporary, "needed")


def _write_rows(rows: pyarrow.Table, path: Path, quoting: str) -> None:
    options = arrow_csv.WriteOptions(include_header=False, quoting_style=quoting)
    with gzip.open(path, "wb") if is_gzip(path) else path.open("wb") as file:
        arrow_csv.write_csv(rows, file, options)
