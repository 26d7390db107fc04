"""What the mAP would be if a part of the work were perfect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ava_eval.classes import Classes
from ava_eval.diagnosis.people import People
from ava_eval.frame_map import frame_map
from ava_eval.labelled_boxes import LabelledBoxes, run_starts
from ava_eval.matching import MIN_OVERLAP
from ava_eval.scoring import Scored, rescore

ORACLES = {
    "perfect_boxes": "boxes moved onto the people they touch, scores as they are",
    "perfect_classes": "people who are found get exactly their actions",
    "ceiling": "the same and no other detection: what these boxes allow where they are",
    "groundtruth": "the ground truth against itself",
}


def oracles(scored: Scored, people: People, classes: Classes) -> dict[str, float]:
    """The mAP with

    - ``perfect_boxes``: each detection lies exactly on the person that it looks at, or, if nobody
      near does its action, on the person that its box touches most (overlap of 0.1); of several of
      one person and action the best score stays, boxes near nobody vanish, and people without a
      box stay missed;
    - ``perfect_classes``: each person who is found (0.5) has just their actions, each once, with
      the best score that the box had; boxes on nobody stay as they are;
    - ``ceiling``: what these boxes allow where they are: each action of each person who is found
      once, and nothing else; the recall of the boxes, action by action;
    - ``groundtruth``: the ground truth scored against itself; less than 1 where it repeats rows or
      has more of them on a keyframe than the protocol takes.

    None but the last can be below the mAP.
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
    found, place = people.found, people.target_of_row
    person = people.person[found.box]
    looks = place >= 0
    person[looks] = people.truth.box[people.targets.truth[place[looks]]]
    rows = np.flatnonzero(person >= 0)
    order = np.lexsort((-found.score[rows], found.action[rows], person[rows]))
    rows = rows[order]
    rows = rows[run_starts(person[rows], found.action[rows])]
    return LabelledBoxes(
        people.truth.keyframe,
        people.truth.corners,
        person[rows],
        found.action[rows],
        found.score[rows],
    )


def _perfect_classes(people: People) -> LabelledBoxes:
    found = people.found
    best_score = np.full(len(found.keyframe), -np.inf)
    np.maximum.at(best_score, found.box, found.score)
    box, action = _one_box_for_each_row(people, best_score)
    others = np.flatnonzero(~found.on_boxes(people.on_person))
    return LabelledBoxes(
        found.keyframe,
        found.corners,
        np.concatenate([box, found.box[others]]),
        np.concatenate([action, found.action[others]]),
        np.concatenate([best_score[box], found.score[others]]),
    )


def _ceiling(people: People) -> LabelledBoxes:
    found = people.found
    box, action = _one_box_for_each_row(people, people.best)
    return LabelledBoxes(found.keyframe, found.corners, box, action, np.ones(len(box)))


def _one_box_for_each_row(people: People, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the boxes that would find each row of the ground truth, if they had its action, the one
    of the largest ``value`` f[B]; boxes and actions i64."""
    targets = people.targets
    right = np.flatnonzero(targets.overlap >= MIN_OVERLAP)
    order = right[np.lexsort((-value[targets.box[right]], targets.truth[right]))]
    order = order[run_starts(targets.truth[order])]
    return targets.box[order], targets.action[order]
