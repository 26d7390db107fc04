"""Which person each detected box lies on, and how well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ava_eval.labelled_boxes import LabelledBoxes, run_starts
from ava_eval.matching import MIN_OVERLAP, overlap
from ava_eval.scoring import Scored

# Below this overlap a box has nothing to do with a person (TIDE's background threshold).
TOUCHING = 0.1


@dataclass(frozen=True)
class People:
    """The distinct people of the ground truth and the distinct boxes that were scored.

    ``truth`` and ``found`` are those of ``Scored`` with one box for each person and each detected
    box. ``touching`` i64[2,P] pairs boxes with the people of their keyframe that they overlap by
    at least 0.1, ``overlaps`` f64[P]. ``person`` i64[B] is the person that a box overlaps most
    (-1: none by 0.1), ``best`` f64[B] that overlap.
    """

    truth: LabelledBoxes
    found: LabelledBoxes
    touching: np.ndarray
    overlaps: np.ndarray
    person: np.ndarray
    best: np.ndarray

    @property
    def on_person(self) -> np.ndarray:
        """Marks the boxes that overlap a person enough to be right -> bool[B]."""
        return self.best >= MIN_OVERLAP

    @classmethod
    def of(cls, scored: Scored) -> People:
        """Compare every box with every person of its keyframe."""
        truth = scored.truth.without_idle_boxes().with_distinct_boxes()
        found = scored.found.without_idle_boxes().with_distinct_boxes()
        box, person = _pairs(found.keyframe, truth.keyframe)
        overlaps = overlap(found.corners[box], truth.corners[person])
        near = np.flatnonzero(overlaps >= TOUCHING)  # (NaN is not)
        box, person, overlaps = box[near], person[near], overlaps[near]
        of_box, best = np.full(len(found.keyframe), -1), np.zeros(len(found.keyframe))
        order = np.lexsort((-overlaps, box))
        order = order[run_starts(box[order])]
        of_box[box[order]], best[box[order]] = person[order], overlaps[order]
        return cls(truth, found, np.stack([box, person]), overlaps, of_box, best)


def _pairs(of_boxes: np.ndarray, of_people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of a box and a person of one keyframe; both lie keyframe by keyframe."""
    first = np.searchsorted(of_people, of_boxes, side="left")
    count = np.searchsorted(of_people, of_boxes, side="right") - first
    box = np.repeat(np.arange(len(of_boxes)), count)
    within = np.arange(len(box)) - np.repeat(np.cumsum(count) - count, count)
    return box, first[box] + within
