"""Which people each detected box lies on, and whom each of its rows looks at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ava_eval.labelled_boxes import LabelledBoxes, expand, run_starts, stable_order
from ava_eval.matching import MIN_OVERLAP, overlap
from ava_eval.scoring import Scored

# Below this overlap a box has nothing to do with a person (TIDE's background threshold).
TOUCHING = 0.1


class Targets(NamedTuple):
    """For each box and each action of the people it touches: the row of the ground truth that a
    detection of this box and action looks at, and how much they overlap. Sorted by box and action;
    all i64[T], ``overlap`` f64[T]."""

    box: np.ndarray
    action: np.ndarray
    truth: np.ndarray
    overlap: np.ndarray


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

    @classmethod
    def of(cls, scored: Scored) -> People:
        """Compare every box with every person of its keyframe."""
        truth = scored.truth.without_idle_boxes().with_distinct_boxes()
        found = scored.found.without_idle_boxes().with_distinct_boxes()
        first = np.searchsorted(truth.keyframe, found.keyframe, side="left")
        last = np.searchsorted(truth.keyframe, found.keyframe, side="right")
        person, box = expand(first, last - first)
        overlaps = overlap(found.corners[box], truth.corners[person])
        near = np.flatnonzero(overlaps >= TOUCHING)  # (NaN is not)
        box, person, overlaps = box[near], person[near], overlaps[near]
        of_box, best = np.full(len(found.keyframe), -1), np.zeros(len(found.keyframe))
        order = np.lexsort((-overlaps, box))
        order = order[run_starts(box[order])]
        of_box[box[order]], best[box[order]] = person[order], overlaps[order]
        return cls(truth, found, np.stack([box, person]), overlaps, of_box, best)

    @property
    def on_person(self) -> np.ndarray:
        """Marks the boxes that overlap a person enough to be right -> bool[B]."""
        return self.best >= MIN_OVERLAP

    @property
    def num_actions(self) -> int:
        """More than any place of an action."""
        return 1 + max(int(side.action.max(initial=0)) for side in (self.truth, self.found))

    def key(self, box: np.ndarray, action: np.ndarray) -> np.ndarray:
        """A number for each box (or person) and action, i64."""
        return box.astype(np.int64) * self.num_actions + action

    @cached_property
    def actions(self) -> tuple[np.ndarray, np.ndarray]:
        """Where those of each person begin, i64[P+1], in the distinct actions of the people."""
        key = np.unique(self.key(self.truth.box, self.truth.action))
        first = np.searchsorted(key, np.arange(len(self.truth.keyframe) + 1) * self.num_actions)
        return first, key % self.num_actions

    @cached_property
    def touching_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Each pair of ``touching`` with each row of the ground truth of its person: the number of
        the pair and the row, both i64."""
        rows = stable_order(self.truth.box)
        count = np.bincount(self.truth.box, minlength=len(self.truth.keyframe))
        first = np.cumsum(count) - count
        person = self.touching[1]
        place, pair = expand(first[person], count[person])
        return pair, rows[place]

    @cached_property
    def targets(self) -> Targets:
        """Whom a detection of each box and action looks at: the person it overlaps most."""
        pair, row = self.touching_rows
        box, value = self.touching[0][pair], self.overlaps[pair]
        key = self.key(box, self.truth.action[row])
        order = np.lexsort((row, -value, key))
        order = order[run_starts(key[order])]
        row = row[order]
        return Targets(box[order], self.truth.action[row], row, value[order])

    @cached_property
    def target_of_row(self) -> np.ndarray:
        """The place in ``targets`` of each row of ``found``, i64[N]; -1 where it has none."""
        known = self.key(self.targets.box, self.targets.action)
        wanted = self.key(self.found.box, self.found.action)
        place = np.searchsorted(known, wanted)
        place[place == len(known)] = 0
        return np.where(known[place] == wanted, place, -1) if len(known) else place - 1
