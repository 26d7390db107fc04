"""Where the missing AP went, by cause; after TIDE (Bolya et al., ECCV 2020), for actions.

A person does several actions at once, so a wrong action on a well-found person is judged before the
place of the box. A false positive of an action is the first of

- ``duplicate``: on a person who does the action and was already found doing it,
- ``class``: on a person (overlap of 0.5 or more) who does something else,
- ``localisation``: near a person who does the action (0.1 to 0.5),
- ``both``: near a person who does something else,
- ``background``: near nobody.

An action that was not found on a person has the first cause of

- ``class``: a box lies on the person, but has no row of the action,
- ``localisation``: a box with the action lies near, and on nobody,
- ``both``: a box without it lies near, and on nobody,
- ``missed``: the person has no box of their own; those on or near them found somebody else.

(A row that the ground truth repeats can never be found; it counts as ``missed``.)

To mend a cause takes its false positives away and its missed actions out of the recall; mending
``localisation`` moves, for each missed action, the best of its boxes onto the person instead. With
everything mended the AP is 1. Since the order of mending matters, the share of a cause is its mean
gain over all orders (its Shapley value): shares add up to 1 - AP. ``alone`` is the gain of mending
only this cause (TIDE's figure); these do not add up.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from ava_eval.average_precision import area
from ava_eval.diagnosis.people import People
from ava_eval.labelled_boxes import run_starts
from ava_eval.matching import MIN_OVERLAP
from ava_eval.scoring import Scored

CAUSES = ("localisation", "class", "both", "duplicate", "background", "missed")
LOCALISATION, CLASS, BOTH, DUPLICATE, BACKGROUND, MISSED = range(6)
RIGHT = -1
MEANING = {
    "localisation": "the box is beside the person (overlap 0.1 to 0.5)",
    "class": "on the person, but another action",
    "both": "beside the person and another action",
    "duplicate": "a person found twice for one action",
    "background": "near nobody (overlap below 0.1)",
    "missed": "the person was not detected",
}


@dataclass(frozen=True)
class Causes:
    """The cause of every error: ``found`` i8[N] of each scored row, ``truth`` i8[M] of each row of
    the ground truth, places in ``CAUSES`` or ``RIGHT``. ``moved`` i64[K] are the rows of ``found``
    that mending localisation moves onto a person, one for each action missed by localisation."""

    found: np.ndarray
    truth: np.ndarray
    moved: np.ndarray

    @classmethod
    def of(cls, scored: Scored, people: People) -> Causes:
        """Name the cause of each error."""
        targets, place = people.targets, people.target_of_row
        has_target = place >= 0
        same = np.zeros(len(place))
        same[has_target] = targets.overlap[place[has_target]]
        found = np.select(
            [
                same >= MIN_OVERLAP,
                people.found.on_boxes(people.on_person),
                has_target,
                people.found.on_boxes(people.person >= 0),
            ],
            [DUPLICATE, CLASS, LOCALISATION, BOTH],
            BACKGROUND,
        ).astype(np.int8)
        found[scored.hits.found] = RIGHT

        pair, row = people.touching_rows
        box, value = people.touching[0][pair], people.overlaps[pair]
        scored_keys = people.key(people.found.box, people.found.action)
        has_row = np.isin(people.key(box, people.truth.action[row]), scored_keys)
        truth = np.full(len(people.truth), MISSED, dtype=np.int8)
        truth[row[~people.on_person[box] & ~has_row]] = BOTH
        moved = np.flatnonzero(found == LOCALISATION)
        target = targets.truth[place[moved]]
        truth[target] = LOCALISATION
        truth[row[(value >= MIN_OVERLAP) & ~has_row]] = CLASS
        truth[scored.hits.truth] = RIGHT

        moved, target = moved[truth[target] == LOCALISATION], target[truth[target] == LOCALISATION]
        order = np.lexsort((-people.found.score[moved], target))
        moved = moved[order][run_starts(target[order])]
        return cls(found, truth, np.sort(moved))


@dataclass(frozen=True)
class Losses:
    """What each cause costs: ``share`` and ``alone`` f64[C,6] by class and cause, NaN where the AP
    is; ``false_positives`` and ``missed`` i64[C,6] count the errors of each cause."""

    share: np.ndarray
    alone: np.ndarray
    false_positives: np.ndarray
    missed: np.ndarray


def losses(scored: Scored, causes: Causes, defined: np.ndarray) -> Losses:
    """Mend every set of causes in every class; ``defined`` bool[C] marks the classes with an AP."""
    num_classes, num_causes = len(scored.num_truth), len(CAUSES)
    wrong = causes.found != RIGHT
    false_positives = _table(scored.found.action[wrong], causes.found[wrong], num_classes)
    lost = causes.truth != RIGHT
    missed = _table(scored.truth.action[lost], causes.truth[lost], num_classes)
    # mmaction2 keeps the boxes of excluded keyframes in the denominator: nobody can find them.
    missed[:, MISSED] += scored.num_truth - np.bincount(scored.truth.action, minlength=num_classes)
    share, alone = (np.full((num_classes, num_causes), np.nan) for _ in range(2))
    subsets = np.array(list(itertools.product([False, True], repeat=num_causes)))
    moved = np.zeros(len(scored.found), dtype=bool)
    moved[causes.moved] = True
    for place in np.flatnonzero(defined):
        mine = scored.rows_of_class[place]
        ap = _mended(
            scored.scores[mine],
            causes.found[mine],
            moved[mine],
            int(scored.num_truth[place]),
            missed[place],
            subsets,
        )
        share[place], alone[place] = _gains(subsets, ap)
    return Losses(share, alone, false_positives, missed)


def _table(action: np.ndarray, cause: np.ndarray, num_classes: int) -> np.ndarray:
    size = len(CAUSES)
    counts = np.bincount(action.astype(np.int64) * size + cause, minlength=num_classes * size)
    return counts.reshape(num_classes, size)


def _mended(
    scores: np.ndarray,
    cause: np.ndarray,
    moved: np.ndarray,
    num_truth: int,
    missed: np.ndarray,
    subsets: np.ndarray,
) -> np.ndarray:
    """The AP of one class with each of ``subsets`` bool[S,6] mended -> f64[S]."""
    misses = [np.sort(scores[cause == number]) for number in range(len(CAUSES))]
    tables = []
    for hit in (cause == RIGHT, (cause == RIGHT) | moved):
        hits = np.sort(scores[hit])[::-1]
        # The false positives of each cause that rank before each hit; equal scores do too.
        tables.append([len(some) - np.searchsorted(some, hits, side="left") for some in misses])
    answer = []
    for mended in subsets:
        table = tables[int(mended[LOCALISATION])]
        before = np.zeros(len(table[0]), dtype=np.int64)
        for number in np.flatnonzero(~mended):
            before += table[number]
        leave = mended.copy()
        leave[LOCALISATION] = False
        left = num_truth - int(missed[leave].sum())
        answer.append(area(before, left) if left else 1.0)
    return np.array(answer)


def _gains(subsets: np.ndarray, ap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each cause gains, f64[6], from the APs f64[S] of all subsets bool[S,6]: the mean over
    all orders of mending (the Shapley value), and alone."""
    size = subsets.shape[1]
    place = {tuple(subset): row for row, subset in enumerate(subsets.tolist())}
    share, alone = np.zeros(size), np.zeros(size)
    for cause in range(size):
        for row in np.flatnonzero(~subsets[:, cause]):
            others = int(subsets[row].sum())
            orders = math.factorial(others) * math.factorial(size - 1 - others)
            mended = subsets[row].copy()
            mended[cause] = True
            gain = ap[place[tuple(mended.tolist())]] - ap[row]
            share[cause] += gain * orders / math.factorial(size)
            alone[cause] = gain if others == 0 else alone[cause]
    return share, alone
