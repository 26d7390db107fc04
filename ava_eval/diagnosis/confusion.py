"""Which action is taken for which."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ava_eval.classes import GROUPS, Classes
from ava_eval.diagnosis.causes import CLASS, Causes
from ava_eval.diagnosis.people import People
from ava_eval.scoring import Scored


class Confusion(NamedTuple):
    """Of the ``considered`` best detections of ``predicted``, ``rows`` are on a person who does
    ``actual``, of the same kind of action, and not ``predicted``; both are ids."""

    predicted: int
    actual: int
    rows: int
    considered: int


def confusions(scored: Scored, people: People, causes: Causes, classes: Classes) -> list[Confusion]:
    """Every pair that occurs, the most frequent first.

    Every box has a score for every action, so that all would be confused with all: of each action
    only the best detections are looked at, as many as the ground truth has people doing it.
    """
    kind_of = np.full(len(classes), -1)
    for number, name in enumerate(GROUPS):
        kind_of[classes.group(name)] = number
    first, labels = people.actions
    found = []
    for place, rows in enumerate(scored.rows_of_class):
        best = np.argsort(-scored.scores[rows], kind="stable")[: scored.num_truth[place]]
        confused = rows[best][causes.found[rows[best]] == CLASS]
        person = people.person[people.found.box[confused]]
        actual = [labels[first[one] : first[one + 1]] for one in person]
        counts = np.bincount(np.concatenate([np.zeros(0, np.int64), *actual]))
        for other in np.flatnonzero(counts):
            if kind_of[other] == kind_of[place]:
                ids = int(classes.ids[place]), int(classes.ids[other])
                found.append(Confusion(*ids, int(counts[other]), len(best)))
    return sorted(found, key=lambda pair: -pair.rows)
