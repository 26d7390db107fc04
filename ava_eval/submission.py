"""The challenge file: at most 50 rows a keyframe, listed actions only, sound boxes."""

from __future__ import annotations

from os import PathLike

import numpy as np
import pandas as pd

from ava_eval.capacity import within_capacity
from ava_eval.errors import InputError
from ava_eval.files import write_detections
from ava_eval.keyframes import keyframe_codes
from ava_eval.labelled_boxes import LabelledBoxes, run_starts
from ava_eval.origin import Origin
from ava_eval.tables import (
    BOX,
    DETECTION_COLUMNS,
    require_boxes,
    require_columns,
    require_label_map,
    require_scores,
    require_times,
    require_video_ids,
)


def write_submission(
    detections: pd.DataFrame,
    path: str | PathLike[str],
    label_map: pd.DataFrame,
    keyframes: pd.DataFrame | None = None,
    excluded: pd.DataFrame | None = None,
) -> dict[str, int]:
    """Write ``Detections`` as a challenge file and say what was left out.

    Rows of other actions than the label map's, of keyframes outside ``keyframes`` (when given) and
    of ``excluded`` ones are left out, then repetitions of a box and action (the best score stays)
    and all but the best 50 of each keyframe, chosen as the official script chooses: but for the
    repetitions, scoring the file gives the mAP of the whole table. Numbers are written in full, so
    that different scores stay different. Rows keep their order.

    Returns ``rows`` and ``keyframes`` written and the rows left out: ``unlisted``,
    ``unknown_keyframe``, ``excluded``, ``repeated`` and ``dropped_by_capacity``. Raises
    ``InputError``, and writes nothing, for a video id that is empty or has blanks around it, a box
    outside [0, 1] or without area, a score or time that is not finite, or when no row is left.
    """
    require_columns(detections, DETECTION_COLUMNS, "detections")
    require_label_map(label_map)
    origin = Origin("detections")
    require_video_ids(detections, origin)
    require_times(detections, origin)
    require_boxes(detections, origin)
    require_scores(detections, origin, finite=True)

    nothing = detections[:0]
    codes, known, dropped = keyframe_codes(
        detections,
        nothing if keyframes is None else keyframes,
        nothing if excluded is None else excluded,
    )
    action = detections["action_id"].to_numpy(np.int64)
    listed = np.isin(action, label_map["action_id"].to_numpy(np.int64))
    wanted = np.isin(codes, known) if keyframes is not None else np.ones(len(codes), dtype=bool)
    allowed = ~np.isin(codes, dropped)
    rows = np.flatnonzero(listed & wanted & allowed)
    boxes = LabelledBoxes(
        codes,
        detections[BOX].to_numpy(np.float64),
        np.arange(len(codes)),
        action,
        detections["score"].to_numpy(np.float64),
    )
    once = rows[_first_of_equals(boxes.where(rows))]
    kept = once[within_capacity(boxes.where(once))]
    if not len(kept):
        raise InputError(f"{path}: no detection is left to write; see the label map and keyframes")
    write_detections(detections.iloc[kept], path)
    return {
        "rows": len(kept),
        "keyframes": len(np.unique(codes[kept])),
        "unlisted": int((~listed).sum()),
        "unknown_keyframe": int((listed & ~wanted).sum()),
        "excluded": int((listed & wanted & ~allowed).sum()),
        "repeated": len(rows) - len(once),
        "dropped_by_capacity": len(once) - len(kept),
    }


def _first_of_equals(boxes: LabelledBoxes) -> np.ndarray:
    """Rows, ascending, without those that repeat the box and action of one with a better score."""
    box = boxes.with_distinct_boxes().box
    order = np.lexsort((-boxes.score, boxes.action, box))
    return np.sort(order[run_starts(box[order], boxes.action[order])])
