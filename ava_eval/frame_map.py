"""AVA's frame-mAP: ``evaluate(truth, detections, label_map) -> FrameMap``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ava_eval.average_precision import average_precision, bounds
from ava_eval.box_sources import found_set, truth_set
from ava_eval.classes import GROUPS, Classes
from ava_eval.errors import InputError
from ava_eval.keyframes import KeyframeNumbers, keyframe_columns
from ava_eval.protocol import PROTOCOLS, TIES, Protocol, Ties
from ava_eval.scoring import Scored, score
from ava_eval.tables import KEYFRAME_COLUMNS, require_columns, require_label_map

if TYPE_CHECKING:
    import pandas as pd

    from ava_eval.box_scores import BoxScores

_LARGEST_ID = 1 << 20


class ClassResult(NamedTuple):
    """The AP of one class, NaN where it is not defined, and what it was computed from."""

    action_id: int
    name: str
    ap: float
    num_groundtruth: int
    num_detections: int


@dataclass(frozen=True, repr=False)
class FrameMap:
    """The result of one evaluation; an AP that is not defined is NaN, here, and null in JSON.

    ``mean`` is the mAP. ``bounds`` is the interval that the order of equal scores leaves open:
    false positives first, and true positives first. ``ap`` f64[C], ``ap_bounds`` f64[C,2],
    ``num_groundtruth`` i64[C] and ``num_detections`` i64[C] (the rows that were scored) belong to
    the ``classes``, ascending by id. ``groups`` are the means over AVA's kinds of action.
    ``counts`` says what became of the rows:

    - ``keyframes`` that count; ``excluded_keyframes`` of the list that the files hold;
      ``ignored_keyframes``: those of detections that do not count, as the ground truth does not
      know them;
    - ``groundtruth`` boxes read = ``groundtruth_excluded`` + ``groundtruth_unlisted`` (action not
      in the label map) + the sum of ``num_groundtruth`` (where mmaction2 keeps the excluded);
    - ``detections`` (rows) read = ``detections_two_columns`` (no box) + ``detections_unlisted`` +
      ``detections_excluded`` + ``detections_ignored`` + ``dropped_by_capacity`` +
      ``invalid_boxes`` + ``low_scores`` + the sum of ``num_detections``;
    - of those that are scored, ``groundtruth_outside`` and ``detections_outside`` reach outside
      [0, 1], ``groundtruth_undefined`` have NaN corners, ``infinite_scores`` are infinite.
    """

    mean: float
    bounds: tuple[float, float]
    classes: Classes
    ap: np.ndarray
    ap_bounds: np.ndarray
    num_groundtruth: np.ndarray
    num_detections: np.ndarray
    groups: dict[str, float]
    counts: dict[str, int]
    protocol: str
    ties: str = "fp-first"

    def __repr__(self) -> str:
        return f"FrameMap(mean={self.mean:.6f}, protocol={self.protocol!r}, ties={self.ties!r})"

    def rows(self) -> list[ClassResult]:
        """The classes in the order of the label map."""
        return [
            ClassResult(
                int(self.classes.ids[place]),
                self.classes.names[place],
                float(self.ap[place]),
                int(self.num_groundtruth[place]),
                int(self.num_detections[place]),
            )
            for place in self.classes.listing.tolist()
        ]

    @property
    def per_class(self) -> pd.DataFrame:
        """``rows`` as a table."""
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=list(ClassResult._fields))

    def to_json(self, inputs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """A dict for ``json.dump``; ``inputs`` are the files, as ``ava-eval score`` lists them."""
        classes = [
            {
                "id": row.action_id,
                "name": row.name,
                "ap": null_if_nan(row.ap),
                "num_groundtruth": row.num_groundtruth,
                "num_detections": row.num_detections,
            }
            for row in self.rows()
        ]
        return {
            "protocol": self.protocol,
            "ties": self.ties,
            "mAP": null_if_nan(self.mean),
            "mAP_bounds": [null_if_nan(bound) for bound in self.bounds],
            "classes": classes,
            "groups": {name: null_if_nan(value) for name, value in self.groups.items()},
            "counts": dict(self.counts),
            "inputs": list(inputs),
        }


def evaluate(
    truth: pd.DataFrame,
    detections: pd.DataFrame | BoxScores,
    label_map: pd.DataFrame,
    *,
    keyframes: pd.DataFrame | None = None,
    excluded: pd.DataFrame | None = None,
    protocol: str = "2020",
    ties: str = "fp-first",
) -> FrameMap:
    """Score ``Detections``, or ``BoxScores``, against ``Annotations`` by the rules of a protocol.

    Only classes of ``label_map`` count. Under ``2020``, the official script of today, detections
    count on the keyframes of ``truth`` and of ``keyframes`` (those where nobody acts: every
    detection there is a false positive) and are ignored elsewhere; see ``protocol.py`` for the
    others. ``excluded`` keyframes leave both sides. The order of rows matters in two official rules
    for ties only, so pass tables in the order of their files: which of equal scores survive the cap
    of 50 rows, and which of two equal overlaps wins. The latter looks at the eighth column of the
    ground truth: ``score`` if ``truth`` has it, else ``person_id``.

    ``ties`` orders equal scores: ``fp-first`` puts false positives first, ``official`` does what
    the original script does on this machine, bit for bit.

    Raises ``InputError`` for missing columns, NaN scores, ground-truth boxes with inverted corners.
    """
    scored, classes = score_tables(
        truth,
        detections,
        label_map,
        keyframes=keyframes,
        excluded=excluded,
        protocol=protocol,
        ties=ties,
    )
    return frame_map(scored, classes)


def score_tables(
    truth: pd.DataFrame,
    detections: pd.DataFrame | BoxScores,
    label_map: pd.DataFrame,
    *,
    keyframes: pd.DataFrame | None = None,
    excluded: pd.DataFrame | None = None,
    protocol: str = "2020",
    ties: str = "fp-first",
) -> tuple[Scored, Classes]:
    """What ``evaluate`` computes its numbers from; for ``diagnosis`` and ``statistics``."""
    rules, order = get_protocol(protocol), get_ties(ties)
    require_label_map(label_map)
    numbers, classes = KeyframeNumbers(), Classes.of_table(label_map)

    def keys(table: pd.DataFrame | None, name: str) -> np.ndarray:
        if table is None:
            return np.zeros(0, dtype=np.int64)
        require_columns(table, KEYFRAME_COLUMNS, name)
        return numbers.keys(*keyframe_columns(table))

    scored = score(
        truth_set(truth, numbers, classes.ids),
        found_set(detections, numbers, classes.ids),
        numbers,
        classes.ids,
        rules,
        keyframes=keys(keyframes, "keyframes"),
        excluded=keys(excluded, "excluded keyframes"),
        ties=order,
    )
    return scored, classes


def get_protocol(name: str) -> Protocol:
    """The protocol of that name; ``InputError`` for another."""
    if name not in PROTOCOLS:
        raise InputError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {name!r}")
    return PROTOCOLS[name]


def get_ties(name: str) -> Ties:
    """The rule of that name; ``InputError`` for another."""
    for rule in TIES:
        if rule == name:
            return rule
    raise InputError(f"ties: expected one of {', '.join(TIES)}, got {name!r}")


def frame_map(scored: Scored, classes: Classes) -> FrameMap:
    """The numbers of scored detections."""
    ap, ap_bounds = np.full(len(classes), np.nan), np.full((len(classes), 2), np.nan)
    for place, rows in enumerate(scored.rows_of_class):
        if not len(rows) and not scored.protocol.undetected_classes_count:
            continue
        of_class = scored.scores[rows], scored.correct[rows], int(scored.num_truth[place])
        ap_bounds[place] = bounds(*of_class)
        if scored.order is None:
            ap[place] = ap_bounds[place, 0]
        else:
            ap[place] = average_precision(*of_class, ties="official")
    lower, upper = (_mean(column, scored, classes) for column in ap_bounds.T)
    return FrameMap(
        _mean(ap, scored, classes),
        (lower, upper),
        classes,
        ap,
        ap_bounds,
        scored.num_truth,
        np.array([len(rows) for rows in scored.rows_of_class]),
        {name: mean_of_defined(ap[classes.group(name)]) for name in GROUPS},
        dict(scored.counts),
        scored.protocol.name,
        "fp-first" if scored.order is None else "official",
    )


def _mean(ap: np.ndarray, scored: Scored, classes: Classes) -> float:
    """The mean of the defined APs, summed as the original sums them, to the last bit."""
    if scored.order is not None and scored.order.classes is not None:
        return mean_of_defined(ap[scored.order.classes])
    if classes.ids[-1] > _LARGEST_ID:
        return mean_of_defined(ap)
    slots = np.full(classes.ids[-1], np.nan)  # the official array: a slot for every id
    slots[classes.ids - 1] = ap
    return mean_of_defined(slots)


def mean_of_defined(values: np.ndarray) -> float:
    """The mean of the values that are no NaN; NaN when there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(np.nanmean(values)) if len(values) else math.nan


def null_if_nan(value: float) -> float | None:
    """For JSON."""
    return None if math.isnan(value) else float(value)
