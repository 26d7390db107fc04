"""Where the two sides of an evaluation come from: CSVs, tables and score matrices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from ava_eval.box_scores import BoxScores
from ava_eval.box_sets import BoxSet, BoxSetBuilder, action_kind
from ava_eval.categorical import Categorical
from ava_eval.csv_blocks import map_blocks, read_blocks
from ava_eval.csv_parsing import Block
from ava_eval.errors import InputError
from ava_eval.keyframes import KeyframeNumbers, keyframe_columns
from ava_eval.labelled_boxes import LabelledBoxes, distinct
from ava_eval.open_files import Digest
from ava_eval.origin import Origin
from ava_eval.tables import (
    ANNOTATION_COLUMNS,
    BOX,
    DETECTION_COLUMNS,
    require_columns,
    require_scores,
    require_upright_boxes,
    require_whole_actions,
)

if TYPE_CHECKING:
    import pandas as pd

Check = Callable[[Block, Origin], None]


def read_box_set(
    path: str | PathLike[str],
    numbers: KeyframeNumbers,
    ids: np.ndarray,
    check: Check,
    digest: Digest | None = None,
) -> BoxSet:
    """The boxes of a CSV; see ``csv_parsing`` for what it may look like."""
    builder = BoxSetBuilder(numbers, ids)
    for block, part in map_blocks(path, builder.part, digest=digest):
        _check_listed(check, block, Origin(path, block.lines), ids)
        builder.add(part)
    return builder.finish()


def read_keys(
    numbers: KeyframeNumbers, path: str | PathLike[str], digest: Digest | None = None
) -> tuple[np.ndarray, int]:
    """The distinct keys of the keyframes of a CSV, whatever its columns, and its rows."""
    keys, num_rows = [np.zeros(0, dtype=np.int64)], 0
    for block in read_blocks(path, digest=digest):
        keys.append(distinct(numbers.keys(block.video, block.time)))
        num_rows += len(block)
    return distinct(np.concatenate(keys)), num_rows


def truth_set(annotations: pd.DataFrame, numbers: KeyframeNumbers, ids: np.ndarray) -> BoxSet:
    """The boxes of ``Annotations``; their eighth column is ``score`` or else ``person_id``."""
    require_columns(annotations, ANNOTATION_COLUMNS, "ground truth")
    if "score" in annotations.columns:
        eighth = annotations["score"].to_numpy(np.float64)
    else:
        eighth = annotations["person_id"].to_numpy(np.float64)
        eighth = np.where(eighth == -1, 1.0, eighth)
    return _of_table(annotations, eighth, "ground truth", numbers, ids, check_truth)


def found_set(
    detections: pd.DataFrame | BoxScores, numbers: KeyframeNumbers, ids: np.ndarray
) -> BoxSet:
    """The boxes of ``Detections`` or of ``BoxScores``."""
    if isinstance(detections, BoxScores):
        return _of_box_scores(detections, numbers, ids)
    require_columns(detections, DETECTION_COLUMNS, "detections")
    eighth = detections["score"].to_numpy(np.float64)
    return _of_table(detections, eighth, "detections", numbers, ids, check_found)


def _of_table(
    table: pd.DataFrame,
    eighth: np.ndarray,
    name: str,
    numbers: KeyframeNumbers,
    ids: np.ndarray,
    check: Check,
) -> BoxSet:
    import pandas as pd

    require_whole_actions(table, Origin(name))
    video, time = keyframe_columns(table)
    codes, actions = pd.factorize(table["action_id"].to_numpy(np.int64))
    block = Block(
        video,
        time,
        ~np.array([value.is_integer() for value in time.categories], dtype=bool),
        tuple(table[column].to_numpy(np.float64) for column in BOX),
        Categorical(actions.tolist(), codes.astype(np.int32)),
        eighth,
        np.broadcast_to(np.int64(8), len(table)),
        first_line=0,
    )
    _check_listed(check, block, Origin(name), ids)
    builder = BoxSetBuilder(numbers, ids)
    if len(block):
        builder.add(builder.part(block))
    return builder.finish()


def _of_box_scores(found: BoxScores, numbers: KeyframeNumbers, ids: np.ndarray) -> BoxSet:
    if np.isnan(found.scores).any():
        row, column = np.argwhere(np.isnan(found.scores))[0].tolist()
        raise InputError(f"scores: row {row}: column {column}: expected a number, not NaN")
    keyframe = numbers.keys(*keyframe_columns(found.boxes))
    corners = found.boxes[BOX].to_numpy(np.float64)
    place = np.minimum(np.searchsorted(ids, found.action_ids), len(ids) - 1)
    listed = np.flatnonzero(ids[place] == found.action_ids)
    num_boxes, num_actions = found.scores.shape
    boxes = LabelledBoxes(
        keyframe,
        corners,
        np.repeat(np.arange(num_boxes, dtype=np.int32), len(listed)),
        np.tile(place[listed].astype(action_kind(ids)), num_boxes),
        np.take(found.scores, listed, axis=1).ravel(),
    )
    counts = Counter(
        rows=num_boxes * num_actions,
        boxes=num_boxes * num_actions,
        unlisted=num_boxes * (num_actions - len(listed)),
    )
    return BoxSet(boxes, keyframe, counts)


def _check_listed(check: Check, block: Block, origin: Origin, ids: np.ndarray) -> None:
    """Check the rows of listed actions; those of others are skipped, whatever they hold."""
    try:
        check(block, origin)
    except InputError:
        known = set(ids.tolist())
        place = np.array([action in known for action in block.action.categories], dtype=bool)
        listed = place[block.action.codes] & (block.width > 2)
        check(block.where(listed), origin.where(listed))


def check_truth(block: Block, origin: Origin) -> None:
    """What scoring refuses in ground truth."""
    require_upright_boxes(dict(zip(BOX, block.corners, strict=True)), origin)
    check_found(block, origin)


def check_found(block: Block, origin: Origin) -> None:
    """What scoring refuses in detections."""
    require_scores({"score": block.eighth}, origin)
