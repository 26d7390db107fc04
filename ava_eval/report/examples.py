"""The errors worth looking at: the worst of each class, spread over classes and keyframes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ava_eval.classes import Classes
from ava_eval.diagnosis import CAUSES, Diagnosis
from ava_eval.diagnosis.causes import BACKGROUND, BOTH, CLASS, DUPLICATE, LOCALISATION
from ava_eval.diagnosis.people import People
from ava_eval.matching import MIN_OVERLAP
from ava_eval.scoring import Scored


@dataclass(frozen=True)
class Person:
    """Somebody of the ground truth: x1 y1 x2 y2, normalised, and what they do, by name."""

    box: list[float]
    actions: list[str]


@dataclass(frozen=True)
class Example:
    """An error on a keyframe.

    ``actions`` are the names that it concerns: of a false positive the one that was said; of a
    confusion that and what the person does; of a missed person what they do. ``box`` is the
    detection's, or the missed person's; ``score`` the detection's. ``people`` are all of the
    ground truth on the keyframe.
    """

    kind: str
    video_id: str
    timestamp: float
    cause: str
    actions: list[str]
    box: list[float]
    score: float | None
    people: list[Person]


def examples(
    scored: Scored, diagnosis: Diagnosis, classes: Classes, most: int = 60
) -> list[Example]:
    """Up to ``most`` errors of each kind: the surest detections that are wrong, and the largest
    people that no box lies on. Kinds and classes take turns; a kind shows a keyframe once."""
    people = diagnosis.people
    of_found, of_truth = people.found.keyframe_of_row, people.truth.keyframe
    queues = {
        "false positive": (_wrong(scored, diagnosis, confused=False), of_found),
        "confusion": (_wrong(scored, diagnosis, confused=True), of_found),
        "missed person": (_missed(people), of_truth),
    }
    by_kind = [
        [
            _example(kind, row, scored, diagnosis, classes)
            for row in itertools.islice(_in_turns(rows, keyframe), most)
        ]
        for kind, (rows, keyframe) in queues.items()
    ]
    return [one for turn in itertools.zip_longest(*by_kind) for one in turn if one is not None]


def _wrong(scored: Scored, diagnosis: Diagnosis, *, confused: bool) -> Iterator[np.ndarray]:
    """Of each class the surest of its false positives, best first.

    Every box has a score for every action, so that nearly all are on people who do something else:
    only as many of the best are looked at as people do it.
    """
    causes = (CLASS,) if confused else (LOCALISATION, BOTH, DUPLICATE, BACKGROUND)
    for place, rows in enumerate(scored.rows_of_class):
        best = rows[np.argsort(-scored.scores[rows], kind="stable")[: scored.num_truth[place]]]
        yield best[np.isin(diagnosis.causes.found[best], causes)]


def _missed(people: People) -> Iterator[np.ndarray]:
    """Of each class the largest of the people who do it and whom no box finds."""
    on = people.overlaps >= MIN_OVERLAP
    lost = np.ones(len(people.truth.keyframe), dtype=bool)
    lost[people.touching[1][on]] = False
    x1, y1, x2, y2 = people.truth.corners.T
    area = (x2 - x1) * (y2 - y1)
    for action in range(people.num_actions):
        person = people.truth.box[people.truth.action == action]
        person = np.unique(person[lost[person]])
        yield person[np.argsort(-area[person], kind="stable")]


def _in_turns(queues: Iterable[np.ndarray], keyframe: np.ndarray) -> Iterator[int]:
    """The first item of each queue, then the next of each, and so on; of each keyframe one."""
    waiting = [iter(queue.tolist()) for queue in queues]
    seen = set[int]()
    while waiting:
        left = []
        for queue in waiting:
            item = next((item for item in queue if int(keyframe[item]) not in seen), None)
            if item is not None:
                seen.add(int(keyframe[item]))
                left.append(queue)
                yield item
        waiting = left


def _example(
    kind: str, row: int, scored: Scored, diagnosis: Diagnosis, classes: Classes
) -> Example:
    """``row`` is that of the detection, or the number of the missed person."""
    people = diagnosis.people
    if kind == "missed person":
        keyframe, corners = int(people.truth.keyframe[row]), people.truth.corners[row]
        actions, score, cause = _names(people, row, classes), None, "missed"
    else:
        box = int(people.found.box[row])
        keyframe, corners = int(people.found.keyframe[box]), people.found.corners[box]
        actions = [classes.names[people.found.action[row]]]
        score, cause = float(people.found.score[row]), CAUSES[diagnosis.causes.found[row]]
        if kind == "confusion":
            actions += _names(people, int(people.person[box]), classes)
    (video_id,), (timestamp,) = scored.numbers.describe(scored.keys[keyframe : keyframe + 1])
    first, last = np.searchsorted(people.truth.keyframe, [keyframe, keyframe + 1])
    around = [
        Person(people.truth.corners[one].tolist(), _names(people, one, classes))
        for one in range(first, last)
    ]
    return Example(kind, video_id, timestamp, cause, actions, corners.tolist(), score, around)


def _names(people: People, person: int, classes: Classes) -> list[str]:
    first, action = people.actions
    return [classes.names[place] for place in action[first[person] : first[person + 1]]]
