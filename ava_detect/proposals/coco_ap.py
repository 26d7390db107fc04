"""COCO's average precision of one class, here person boxes, for all keyframes at once.

The definition is that of pycocotools' ``cocoeval.py`` (``evaluateImg``, ``accumulate``) without
crowds; its images are our keyframes. Boxes are normalised xyxy, areas are shares of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ava_eval.labelled_boxes import expand, run_starts
from ava_eval.matching import overlap

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # as cocoeval makes them: bits decide
RECALLS = np.linspace(0.0, 1.0, 101)
MOST_BOXES = 100  # of a keyframe count for AP
ALL_SIZES = (0.0, np.inf)
_CHUNK = 1 << 16  # boxes looked at together


@dataclass(frozen=True)
class Matches:
    """Whom each box found, at one IoU threshold and for people of some sizes.

    ``person`` i64[B] is the person of each box, -1 where there is none. ``counts`` bool[B] marks
    the boxes that are right or wrong, the others are ignored. ``num_people`` are those to be found.
    """

    person: np.ndarray
    counts: np.ndarray
    num_people: int

    @property
    def hits(self) -> np.ndarray:
        """Marks the boxes that found a person who counts -> bool[B]."""
        return self.counts & (self.person >= 0)


@dataclass(frozen=True)
class Overlaps:
    """The boxes and people of all keyframes, and how much they overlap.

    Boxes have ``keyframe`` i64[B], ``score`` f64[B] and ``area`` f64[B], people ``people_area``
    f64[G], each in the order in which they were given. The P pairs of a box and a person of its
    keyframe with an IoU of at least 0.5 are ``box`` i64[P], ``person`` i64[P] and ``iou`` f64[P],
    sorted by ``rank``, then box, then as the box prefers them: by falling IoU, the last of equals.
    ``rank`` i64[P] is the place of the box in its keyframe by falling score, equal ones as given.
    ``ranking`` i64[R] are the boxes that count for AP, at most 100 a keyframe, by falling score;
    of equal scores the first keyframe's come first.
    """

    keyframe: np.ndarray
    score: np.ndarray
    area: np.ndarray
    people_area: np.ndarray
    box: np.ndarray
    person: np.ndarray
    iou: np.ndarray
    rank: np.ndarray
    ranking: np.ndarray

    @classmethod
    def of(
        cls,
        keyframe: np.ndarray,
        corners: np.ndarray,
        score: np.ndarray,
        people_keyframe: np.ndarray,
        people_corners: np.ndarray,
    ) -> Overlaps:
        """Compare boxes f[B,4] with scores f[B] to the people f[G,4] of their keyframes.

        Keyframes are integers from 0 on, in the order of COCO's images.
        """
        by_keyframe = np.lexsort((-score, keyframe))
        first = run_starts(keyframe[by_keyframe])
        size = np.diff(first, append=len(score))
        rank = np.empty(len(score), dtype=np.int64)
        rank[by_keyframe] = np.arange(len(score)) - np.repeat(first, size)
        ranking = by_keyframe[rank[by_keyframe] < MOST_BOXES]
        box, person, iou = _pairs(keyframe, corners, people_keyframe, people_corners)
        order = np.lexsort((-person, -iou, box, rank[box]))
        box, person, iou = box[order], person[order], iou[order]
        return cls(
            keyframe,
            score,
            _areas(corners),
            _areas(people_corners),
            box,
            person,
            iou,
            rank[box],
            ranking[np.argsort(-score[ranking], kind="stable")],
        )

    def match(self, iou: float, sizes: tuple[float, float] = ALL_SIZES) -> Matches:
        """Let the boxes of each keyframe choose, by falling score, a person who is still free.

        ``sizes`` are the least and the greatest area of people who count, both included. A box
        takes one of another size only where no other is left, and is then ignored; so is a box of
        another size that finds nobody. ``iou`` is at least 0.5.
        """
        other_people = _outside(self.people_area, sizes)
        pairs = np.flatnonzero(self.iou >= min(iou, 1 - 1e-10))
        # (Stable, so that the rest of the order stays.)
        other = other_people[self.person[pairs]]
        pairs = pairs[np.lexsort((other, self.box[pairs], self.rank[pairs]))]
        found = np.full(len(self.score), -1)
        taken = np.zeros(len(self.people_area), dtype=bool)
        # Boxes of one rank are of different keyframes, so none takes another's person.
        for some in np.split(pairs, run_starts(self.rank[pairs])[1:]):
            free = some[~taken[self.person[some]]]
            chosen = free[run_starts(self.box[free])]
            taken[self.person[chosen]] = True
            found[self.box[chosen]] = self.person[chosen]
        counts = ~_outside(self.area, sizes)
        matched = found >= 0
        counts[matched] = ~other_people[found[matched]]
        return Matches(found, counts, int((~other_people).sum()))

    def precision(self, matches: Matches) -> np.ndarray | None:
        """``precision_at_recalls`` of all boxes that count; None without people."""
        rows = self.ranking[matches.counts[self.ranking]]
        return precision_at_recalls(matches.hits[rows], matches.num_people)

    def average_precision(self, iou: float, sizes: tuple[float, float] = ALL_SIZES) -> float | None:
        """COCO's AP at an IoU for people of some sizes, see ``match``; None without people."""
        return mean_precision(self.precision(self.match(iou, sizes)))


def precision_at_recalls(hits: np.ndarray, num_people: int) -> np.ndarray | None:
    """The best precision at a recall of at least 0, 0.01, ... 1 -> f64[101]; None without people.

    ``hits`` bool[N] says of each box, by falling score, whether it found one of the people. The
    precision is 0 where that recall is not reached.
    """
    if not num_people:
        return None
    found = np.cumsum(hits)
    precision = np.maximum.accumulate((found / np.arange(1, len(hits) + 1))[::-1])[::-1]
    place = np.searchsorted(found / num_people, RECALLS)
    return np.append(precision, 0.0)[place]


def mean_precision(precision: np.ndarray | None) -> float | None:
    """The AP of ``precision_at_recalls``."""
    return None if precision is None else float(precision.mean())


def _pairs(
    keyframe: np.ndarray,
    corners: np.ndarray,
    people_keyframe: np.ndarray,
    people_corners: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs that overlap by the least threshold or more: box i64, person i64, IoU f64."""
    people = np.argsort(people_keyframe, kind="stable")
    first, last = (
        np.searchsorted(people_keyframe[people], keyframe, side=side) for side in ("left", "right")
    )
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for start in range(0, len(keyframe), _CHUNK):
        some = slice(start, start + _CHUNK)
        place, box = expand(first[some], (last - first)[some])
        person, box = people[place], box + start
        iou = overlap(corners[box], people_corners[person])
        near = iou >= IOU_THRESHOLDS[0]  # (NaN, of boxes without area, is not)
        parts.append((box[near], person[near], iou[near]))
    box, person, iou = (np.concatenate(column) for column in zip(*parts, strict=True))
    return box, person, iou


def _areas(corners: np.ndarray) -> np.ndarray:
    return (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])


def _outside(areas: np.ndarray, sizes: tuple[float, float]) -> np.ndarray:
    return (areas < sizes[0]) | (areas > sizes[1])
