"""What the mAP would be if a part of the work were perfect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ava_eval.classes import Classes
from ava_eval.diagnosis.people import People
from ava_eval.frame_map import frame_map
from ava_eval.labelled_boxes import LabelledBoxes, run_starts
from ava_eval.scoring import Scored, rescore


def oracles(scored: Scored, people: People, classes: Classes) -> dict[str, float]:
    """The mAP with

    - ``perfect_boxes``: each box that touches a person (overlap of 0.1) is that person's, and an
      action that several boxes of one person have keeps its best score; boxes near nobody vanish,
      people without a box stay missed;
    - ``perfect_classes``: the best box on each person (0.5) has just that person's actions, with
      the best score that the box had, other boxes on the person have none, and boxes on nobody
      stay as they are;
    - ``ceiling``: what these boxes allow where they are: the best box on each person with just
      their actions, and nothing else; the recall of the boxes, action by action;
    - ``groundtruth``: the ground truth scored against itself; less than 1 where it repeats rows or
      has more of them on a keyframe than the protocol takes.
    """
    truth = replace(scored.truth, score=np.ones(len(scored.truth)))
    cases = {
        "perfect_boxes": _perfect_boxes(people),
        "perfect_classes": _perfect_classes(people),
        "ceiling": _ceiling(people),
        "groundtruth": truth,
    }
    return {name: frame_map(rescore(scored, found), classes).mean for name, found in cases.items()}


def _perfect_boxes(people: People) -> LabelledBoxes:
    found, truth = people.found, people.truth
    rows = np.flatnonzero(found.on_boxes(people.person >= 0))
    person = people.person[found.box[rows]]
    order = np.lexsort((-found.score[rows], found.action[rows], person))
    rows, person = rows[order], person[order]
    cell = person * (int(found.action.max(initial=0)) + 1) + found.action[rows]
    best = run_starts(cell)
    return LabelledBoxes(
        truth.keyframe,
        truth.corners,
        person[best],
        found.action[rows[best]],
        found.score[rows[best]],
    )


def _perfect_classes(people: People) -> LabelledBoxes:
    found = people.found
    best_score = np.full(len(found.keyframe), -np.inf)
    np.maximum.at(best_score, found.box, found.score)
    box, action = _labels_of(people, _best_boxes(people))
    others = np.flatnonzero(~found.on_boxes(people.on_person))
    return LabelledBoxes(
        found.keyframe,
        found.corners,
        np.concatenate([box, found.box[others]]),
        np.concatenate([action, found.action[others]]),
        np.concatenate([best_score[box], found.score[others]]),
    )


def _ceiling(people: People) -> LabelledBoxes:
    box, action = _labels_of(people, _best_boxes(people))
    found = people.found
    return LabelledBoxes(found.keyframe, found.corners, box, action, np.ones(len(box)))


def _best_boxes(people: People) -> np.ndarray:
    """The box that overlaps each person most, of those that are on a person."""
    box = np.flatnonzero(people.on_person)
    box = box[np.lexsort((-people.best[box], people.person[box]))]
    return box[run_starts(people.person[box])]


def _labels_of(people: People, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The boxes, once for each distinct action of the person they are on, and those actions."""
    truth = people.truth
    actions = int(truth.action.max(initial=0)) + 1
    cell = np.unique(truth.box.astype(np.int64) * actions + truth.action)
    first = np.searchsorted(cell, people.person[box] * actions)
    count = np.searchsorted(cell, (people.person[box] + 1) * actions) - first
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    action = cell[np.repeat(first, count) + within] % actions
    return np.repeat(box, count), action.astype(truth.action.dtype)
