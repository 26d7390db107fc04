"""AVA's frame-mAP: ``evaluate(truth, detections, label_map) -> FrameMap``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ava_eval.average_precision import average_precision
from ava_eval.errors import InputError
from ava_eval.keyframes import keyframe_codes
from ava_eval.matching import Boxes, true_positives
from ava_eval.origin import Origin
from ava_eval.protocol import PROTOCOLS, within_capacity
from ava_eval.tables import (
    ANNOTATION_COLUMNS,
    BOX,
    DETECTION_COLUMNS,
    KEYFRAME_COLUMNS,
    LABEL_MAP_COLUMNS,
    require_columns,
    require_label_map,
    require_scores,
    require_upright_boxes,
)

# AVA's three kinds of action and the ids of each (label_type of its action list).
GROUPS = {
    "person_movement": range(1, 15),
    "object_manipulation": range(15, 64),
    "person_interaction": range(64, 81),
}


@dataclass(frozen=True)
class FrameMap:
    """The result of one evaluation; an AP that is not defined is NaN, here, and null in JSON.

    ``mean`` is the mAP and the lower of ``bounds``: false positives first among equal scores, and
    true positives first. ``per_class`` has the columns ``action_id name ap num_groundtruth
    num_detections``, a row per class of the label map in its order; ``num_detections`` counts the
    rows that were scored. ``groups`` are the means over AVA's kinds of action. ``counts`` says what
    became of the rows:

    - ``keyframes`` known, without the excluded ones; ``excluded_keyframes`` of the list that the
      files hold; ``ignored_keyframes``: those of detections that the ground truth does not know;
    - ``groundtruth`` boxes read = ``groundtruth_excluded`` + ``groundtruth_unlisted`` (action not
      in the label map) + the sum of ``num_groundtruth``;
    - ``detections`` read = ``detections_unlisted`` + ``detections_excluded`` +
      ``detections_ignored`` + ``dropped_by_capacity`` + ``invalid_boxes`` + the sum of
      ``num_detections``, in this order;
    - ``outside_boxes`` and ``infinite_scores`` were scored like any other.
    """

    mean: float
    bounds: tuple[float, float]
    per_class: pd.DataFrame
    groups: dict[str, float]
    counts: dict[str, int]
    protocol: str
    ties: str = "fp-first"

    def to_json(self, inputs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """A dict for ``json.dump``; ``inputs`` are the files, as ``ava-eval score`` lists them."""
        classes = [
            {
                "id": row.action_id,
                "name": row.name,
                "ap": _null_if_nan(row.ap),
                "num_groundtruth": row.num_groundtruth,
                "num_detections": row.num_detections,
            }
            for row in self.per_class.itertuples(index=False)
        ]
        return {
            "protocol": self.protocol,
            "ties": self.ties,
            "mAP": _null_if_nan(self.mean),
            "mAP_bounds": [_null_if_nan(bound) for bound in self.bounds],
            "classes": classes,
            "groups": {name: _null_if_nan(value) for name, value in self.groups.items()},
            "counts": dict(self.counts),
            "inputs": list(inputs),
        }


def evaluate(
    truth: pd.DataFrame,
    detections: pd.DataFrame,
    label_map: pd.DataFrame,
    *,
    keyframes: pd.DataFrame | None = None,
    excluded: pd.DataFrame | None = None,
    protocol: str = "2020",
) -> FrameMap:
    """Score ``Detections`` against ``Annotations`` as the official AVA script does.

    Only classes of ``label_map`` count. Detections count on the keyframes of ``truth`` and of
    ``keyframes`` (those where nobody acts: every detection there is a false positive) and are
    ignored elsewhere. ``excluded`` keyframes leave both sides. The order of rows matters in two
    official rules for ties only, so pass tables in the order of their files: which of equal scores
    survive the cap of 50 rows, and which of two equal overlaps wins. The latter looks at the eighth
    column of the ground truth: ``score`` if ``truth`` has it, else ``person_id``.

    Raises ``InputError`` for missing columns, NaN scores, ground-truth boxes with inverted corners.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    require_columns(truth, ANNOTATION_COLUMNS, "ground truth")
    require_columns(detections, DETECTION_COLUMNS, "detections")
    require_label_map(label_map)
    require_upright_boxes(truth, Origin("ground truth"))
    require_scores(detections, Origin("detections"))
    nothing = pd.DataFrame({"video_id": [], "timestamp": []})
    keyframes = nothing if keyframes is None else keyframes
    excluded = nothing if excluded is None else excluded
    require_columns(keyframes, KEYFRAME_COLUMNS, "keyframes")
    require_columns(excluded, KEYFRAME_COLUMNS, "excluded keyframes")

    codes = keyframe_codes(truth, keyframes, excluded, detections)
    of_truth, of_known, of_excluded, of_detections = codes
    num_codes = max(int(code.max(initial=-1)) for code in codes) + 1
    known = _members(num_codes, of_truth, of_known)
    dropped = _members(num_codes, of_excluded)
    detected = _members(num_codes, of_detections)
    counts = {
        "keyframes": int((known & ~dropped).sum()),
        "groundtruth": len(truth),
        "detections": len(detections),
        "ignored_keyframes": int((detected & ~known & ~dropped).sum()),
        "excluded_keyframes": int((dropped & (known | detected)).sum()),
        "outside_boxes": _count_outside(truth) + _count_outside(detections),
        "infinite_scores": int(np.isinf(detections["score"].to_numpy(np.float64)).sum()),
    }

    ids = np.sort(label_map["action_id"].to_numpy(np.int64))
    truth_boxes = _boxes(truth, of_truth, ids, _order_score(truth))
    keep = ~dropped[of_truth]
    counts["groundtruth_excluded"] = int((~keep).sum())
    truth_boxes, counts["groundtruth_unlisted"] = _listed(truth_boxes.where(keep))

    scored = _boxes(detections, of_detections, ids, detections["score"].to_numpy(np.float64))
    scored, counts["detections_unlisted"] = _listed(scored)
    keep = ~dropped[scored.keyframe]
    scored, counts["detections_excluded"] = scored.where(keep), int((~keep).sum())
    keep = known[scored.keyframe]
    scored, counts["detections_ignored"] = scored.where(keep), int((~keep).sum())
    keep = within_capacity(scored.keyframe, scored.score, scored.action, scored.box)
    scored, counts["dropped_by_capacity"] = scored.where(keep), int((~keep).sum())
    x1, y1, x2, y2 = scored.box.T
    keep = (x1 < x2) & (y1 < y2)
    scored, counts["invalid_boxes"] = scored.where(keep), int((~keep).sum())

    correct = true_positives(scored, truth_boxes)
    per_class, upper = _per_class(label_map, ids, truth_boxes, scored, correct)
    lower = _mean(per_class["ap"])
    groups = {
        name: _mean(per_class["ap"][per_class["action_id"].isin(members)])
        for name, members in GROUPS.items()
    }
    return FrameMap(lower, (lower, _mean(upper)), per_class, groups, counts, protocol)


def _members(size: int, *codes: np.ndarray) -> np.ndarray:
    """bool[size], True at the given codes."""
    mask = np.zeros(size, dtype=bool)
    for code in codes:
        mask[code] = True
    return mask


def _count_outside(table: pd.DataFrame) -> int:
    """Rows with a coordinate outside [0, 1], or NaN."""
    inside = np.ones(len(table), dtype=bool)
    for column in BOX:
        value = table[column].to_numpy(np.float64)
        inside &= (value >= 0) & (value <= 1)
    return int((~inside).sum())


def _order_score(truth: pd.DataFrame) -> np.ndarray:
    """The eighth column of the ground truth as the official reader takes it; 1.0 without one."""
    if "score" in truth.columns:
        return truth["score"].to_numpy(np.float64)
    person = truth["person_id"].to_numpy(np.float64)
    return np.where(person == -1, 1.0, person)


def _boxes(table: pd.DataFrame, codes: np.ndarray, ids: np.ndarray, score: np.ndarray) -> Boxes:
    """A table as arrays; the action is its place in the sorted ``ids``, -1 when it is not there."""
    action = table["action_id"].to_numpy(np.int64)
    place = np.minimum(np.searchsorted(ids, action), len(ids) - 1)
    listed = ids[place] == action
    return Boxes(codes, np.where(listed, place, -1), table[BOX].to_numpy(np.float64), score)


def _listed(boxes: Boxes) -> tuple[Boxes, int]:
    """The boxes whose action the label map lists, and how many it does not."""
    listed = boxes.action >= 0
    return boxes.where(listed), int((~listed).sum())


def _per_class(
    label_map: pd.DataFrame, ids: np.ndarray, truth: Boxes, scored: Boxes, correct: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """The table of AP per class, and its APs with true positives first among equal scores."""
    num_truth = np.bincount(truth.action, minlength=len(ids))
    num_scored = np.bincount(scored.action, minlength=len(ids))
    order = np.argsort(scored.action, kind="stable")
    ends = np.cumsum(num_scored)
    rows = []
    for place in np.searchsorted(ids, label_map["action_id"].to_numpy(np.int64)):
        mine = order[ends[place] - num_scored[place] : ends[place]]
        arguments = scored.score[mine], correct[mine], int(num_truth[place])
        rows.append(
            (
                average_precision(*arguments, ties="fp-first"),
                average_precision(*arguments, ties="tp-first"),
                num_truth[place],
                num_scored[place],
            )
        )
    ap, upper, num_truth, num_scored = (np.array(column) for column in zip(*rows, strict=True))
    per_class = label_map[LABEL_MAP_COLUMNS].reset_index(drop=True)
    per_class = per_class.assign(ap=ap, num_groundtruth=num_truth, num_detections=num_scored)
    return per_class, upper


def _mean(values: ArrayLike) -> float:
    """The mean of the values that are defined; NaN when none is."""
    numbers = np.asarray(values, dtype=np.float64)
    defined = numbers[~np.isnan(numbers)]
    return float(defined.mean()) if len(defined) else math.nan


def _null_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
