"""The errors worth looking at: the worst of each class, more of the classes that lose most."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
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
    """An error on a keyframe, and what it was lost to: one of ``CAUSES``.

    ``said`` is the action of a wrong detection and ``score`` its score; None for somebody whom no
    box lies on. ``box`` is the detection's, or that person's. ``people`` are all of the ground
    truth on the keyframe; ``person`` is the place among them of the one whom the box overlaps most,
    or who was not found (None: nobody is near), and ``overlap`` how much, or how much the nearest
    box overlaps them.
    """

    cause: str
    video_id: str
    timestamp: float
    said: str | None
    score: float | None
    box: list[float]
    people: list[Person]
    person: int | None
    overlap: float

    @property
    def actions(self) -> list[str]:
        """The names of the classes that it concerns."""
        other = self.said is None or self.cause == "class"
        done = self.people[self.person].actions if other and self.person is not None else []
        return list(dict.fromkeys([*([] if self.said is None else [self.said]), *done]))


def examples(
    scored: Scored, diagnosis: Diagnosis, classes: Classes, most: int = 60
) -> list[Example]:
    """Up to ``most`` errors of each of three kinds: the surest detections that are beside people or
    near nobody or second ones, the surest on people who do something else, and the largest people
    whom no box lies on. Kinds take turns, and a kind shows a keyframe once. Every class comes first
    once, then in proportion to what it loses."""
    people = diagnosis.people
    of_found, of_truth = people.found.keyframe_of_row, people.truth.keyframe
    lost = np.nan_to_num(1 - diagnosis.result.ap)
    misplaced = _wrong(scored, diagnosis, LOCALISATION, BOTH, DUPLICATE, BACKGROUND)
    chosen = [
        [
            _of_detection(row, scored, diagnosis, classes)
            for row in itertools.islice(_in_turns(rows, lost, of_found), most)
        ]
        for rows in (misplaced, _wrong(scored, diagnosis, CLASS))
    ]
    missed, nearest = _missed(people)
    chosen.append(
        [
            _of_person(one, float(nearest[one]), scored, diagnosis, classes)
            for one in itertools.islice(_in_turns(missed, lost, of_truth), most)
        ]
    )
    return [one for turn in itertools.zip_longest(*chosen) for one in turn if one is not None]


def _wrong(scored: Scored, diagnosis: Diagnosis, *causes: int) -> list[np.ndarray]:
    """Of each class its false positives of some causes, the surest first.

    Every box has a score for every action, so that nearly all are on people who do something else:
    only as many of the best are looked at as people do it.
    """
    queues = []
    for place, rows in enumerate(scored.rows_of_class):
        best = rows[np.argsort(-scored.scores[rows], kind="stable")[: scored.num_truth[place]]]
        queues.append(best[np.isin(diagnosis.errors.found[best], causes)])
    return queues


def _missed(people: People) -> tuple[list[np.ndarray], np.ndarray]:
    """Of each class the people who do it and whom no box lies on, the largest first; and how much
    the nearest box overlaps each person, f64[P]."""
    nearest = np.zeros(len(people.truth.keyframe))
    np.maximum.at(nearest, people.touching[1], people.overlaps)
    x1, y1, x2, y2 = people.truth.corners.T
    area = (x2 - x1) * (y2 - y1)
    queues = []
    for action in range(people.num_actions):
        person = np.unique(people.truth.box[people.truth.action == action])
        person = person[nearest[person] < MIN_OVERLAP]
        queues.append(person[np.argsort(-area[person], kind="stable")])
    return queues, nearest


def _in_turns(
    queues: Sequence[np.ndarray], weight: np.ndarray, keyframe: np.ndarray
) -> Iterator[int]:
    """The items of queues, one of each keyframe: the first of each queue, the heaviest first; then
    as many of each as ``weight`` f64[C] says (d'Hondt's method)."""
    items = np.concatenate([np.zeros(0, np.int64), *queues])
    rank = np.concatenate([np.zeros(0, np.int64), *(np.arange(len(queue)) for queue in queues)])
    own = np.repeat(np.maximum(weight[: len(queues)], 1e-6), [len(queue) for queue in queues])
    order = np.lexsort((-own, rank / own, rank > 0))
    seen = set[int]()
    for item in items[order].tolist():
        if int(keyframe[item]) not in seen:
            seen.add(int(keyframe[item]))
            yield item


def _of_detection(row: int, scored: Scored, diagnosis: Diagnosis, classes: Classes) -> Example:
    people, cause = diagnosis.people, int(diagnosis.errors.found[row])
    box, target = int(people.found.box[row]), int(people.target_of_row[row])
    person, overlap = int(people.person[box]), float(people.best[box])
    if cause in (LOCALISATION, DUPLICATE):  # not whom it overlaps most, but who does the action
        person = int(people.truth.box[people.targets.truth[target]])
        overlap = float(people.targets.overlap[target])
    where = _where(int(people.found.keyframe[box]), scored)
    around, first = _around(int(people.found.keyframe[box]), people, classes)
    return Example(
        CAUSES[cause],
        *where,
        classes.names[people.found.action[row]],
        float(people.found.score[row]),
        people.found.corners[box].tolist(),
        around,
        person - first if person >= 0 else None,
        overlap,
    )


def _of_person(
    person: int, nearest: float, scored: Scored, diagnosis: Diagnosis, classes: Classes
) -> Example:
    people = diagnosis.people
    keyframe = int(people.truth.keyframe[person])
    causes = diagnosis.errors.truth[people.truth.box == person]
    around, first = _around(keyframe, people, classes)
    return Example(
        CAUSES[int(causes.min())],
        *_where(keyframe, scored),
        None,
        None,
        people.truth.corners[person].tolist(),
        around,
        person - first,
        nearest,
    )


def _where(keyframe: int, scored: Scored) -> tuple[str, float]:
    """The video and the timestamp of a keyframe."""
    (video_id,), (timestamp,) = scored.numbers.describe(scored.keys[keyframe : keyframe + 1])
    return video_id, timestamp


def _around(keyframe: int, people: People, classes: Classes) -> tuple[list[Person], int]:
    """Everybody on a keyframe, and the number of the first of them."""
    first, last = np.searchsorted(people.truth.keyframe, [keyframe, keyframe + 1]).tolist()
    begin, action = people.actions
    return [
        Person(
            people.truth.corners[one].tolist(),
            [classes.names[place] for place in action[begin[one] : begin[one + 1]]],
        )
        for one in range(first, last)
    ], first
