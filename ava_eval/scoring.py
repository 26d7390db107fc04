"""Who counts and who is right: from two sides and a protocol to the scored detections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from ava_eval.box_sets import BoxSet
from ava_eval.capacity import within_capacity, within_class_capacity
from ava_eval.keyframes import KeyframeNumbers, dense_numbers
from ava_eval.labelled_boxes import LabelledBoxes, stable_order
from ava_eval.matching import Hits, find_hits
from ava_eval.official_order import OfficialOrder, in_order, official_order, rank_equal_scores
from ava_eval.protocol import Protocol, Ties

# Marks the rows that a rule keeps; None: all of them.
Rule = Callable[[LabelledBoxes], np.ndarray | None]


@dataclass(frozen=True)
class Scored:
    """The boxes that count, and which detections are right.

    ``truth`` and ``found`` number their keyframes alike; ``keys`` i64[K] are what ``numbers`` knows
    those by. ``denominator`` are the rows of the ground truth that recall is measured by: those of
    ``truth`` (mmaction2 keeps more). ``counts`` are those of ``FrameMap``. ``order`` is the order
    of the original script's arrays, None unless equal scores are to be ordered as there.
    """

    truth: LabelledBoxes
    found: LabelledBoxes
    hits: Hits
    denominator: LabelledBoxes
    num_classes: int
    keys: np.ndarray
    numbers: KeyframeNumbers
    counts: Counter[str]
    protocol: Protocol
    order: OfficialOrder | None = None

    @cached_property
    def num_truth(self) -> np.ndarray:
        """The denominator of each class's recall, i64[C]."""
        return np.bincount(self.denominator.action, minlength=self.num_classes)

    @cached_property
    def video_of_keyframe(self) -> np.ndarray:
        """The number of each keyframe's video, i64[K]."""
        return self.numbers.videos_of(self.keys)

    @cached_property
    def videos(self) -> np.ndarray:
        """The videos that have anything to score, i64, ascending."""
        keyframes = [side.keyframe_of_row for side in (self.denominator, self.found)]
        return np.unique(self.video_of_keyframe[np.concatenate(keyframes)])

    @cached_property
    def rows_of_class(self) -> list[np.ndarray]:
        """The rows of ``found`` of each class, i64, ascending or in ``order``."""
        if self.order is None:
            rows = stable_order(self.found.action)
        else:
            rows = self.order.rows[stable_order(self.found.action[self.order.rows])]
        size = np.bincount(self.found.action, minlength=self.num_classes)
        return np.split(rows, np.cumsum(size)[:-1])

    @cached_property
    def correct(self) -> np.ndarray:
        """Marks the true positives among ``found`` -> bool[N]."""
        mask = np.zeros(len(self.found), dtype=bool)
        mask[self.hits.found] = True
        return mask

    @cached_property
    def scores(self) -> np.ndarray:
        """The scores of ``found``, f[N], rounded as the protocol rounds them."""
        if self.found.score.dtype == np.float32 and self.order is None:
            return self.found.score  # in float64 they would compare alike
        return self.found.score.astype(self.protocol.precision, copy=False)


def score(
    truth_set: BoxSet,
    found_set: BoxSet,
    numbers: KeyframeNumbers,
    ids: np.ndarray,
    protocol: Protocol,
    *,
    keyframes: np.ndarray,
    excluded: np.ndarray,
    ties: Ties = "fp-first",
) -> Scored:
    """Apply a protocol to two sides whose keyframes have their keys from ``numbers``.

    ``ids`` i64[C] are those that number the actions. ``keyframes`` i64 are keys that are known
    besides those of the ground truth, ``excluded`` i64 those that leave both sides. Everything goes
    in the order of the original: what does not count leaves, the cap applies, invalid boxes leave,
    and the rest look for their ground truth.
    """
    sides = (truth_set.boxes, found_set.boxes)
    keys, codes = dense_numbers(
        *(boxes.keyframe for boxes in sides),
        *(truth_set.others, found_set.others, keyframes, excluded),
    )
    truth, listed = (
        replace(boxes, keyframe=code) for boxes, code in zip(sides, codes, strict=False)
    )
    known = _members(len(keys), codes[0], codes[2], codes[4])
    if protocol.needs_listed_truth:
        known = _members(len(keys), truth.keyframe_of_row)
    detected, dropped = _members(len(keys), codes[1], codes[3]), _members(len(keys), codes[5])
    counting = (known | detected if protocol.unknown_keyframes_count else known) & ~dropped
    counts = Counter(
        keyframes=int(counting.sum()),
        groundtruth=truth_set.counts["boxes"],
        detections=found_set.counts["rows"],
        ignored_keyframes=int((detected & ~counting & ~dropped).sum()),
        excluded_keyframes=int((dropped & (known | detected)).sum()),
        detections_two_columns=found_set.counts["two_columns"],
        groundtruth_unlisted=truth_set.counts["unlisted"],
        detections_unlisted=found_set.counts["unlisted"],
        dropped_by_capacity=0,
        invalid_boxes=0,
    )

    all_truth, stays = truth, ~truth.on_boxes(dropped[truth.keyframe])
    truth = _in_precision(protocol, truth.where(stays))
    counts["groundtruth_excluded"] = len(all_truth) - len(truth)
    denominator = all_truth if protocol.excluded_truth_counts else truth

    rules = _rules(protocol, counting, dropped)
    found, rows, left_out = _apply(rules, _in_precision(protocol, listed), ties == "official")
    counts.update(left_out)
    counts["groundtruth_outside"], counts["groundtruth_undefined"] = _odd_corners(truth)
    counts["detections_outside"], _ = _odd_corners(found)
    counts["infinite_scores"] = int(np.isinf(found.score).sum())
    hits, order = _find(protocol, found, truth), None
    if rows is not None:
        # Which of equal scores argsort puts first depends on their type too.
        exact = replace(listed, score=listed.score.astype(np.float64, copy=False))
        found = replace(found, score=found.score.astype(np.float64, copy=False))
        rank = rank_equal_scores(protocol, exact, rows, found, hits)
        hits = _find(protocol, found, truth, rank)
        order = official_order(protocol, exact, found, rank, truth, ids)
    return Scored(
        truth,
        found,
        hits,
        denominator,
        len(ids),
        keys,
        numbers,
        counts,
        protocol,
        order,
    )


def rescore(scored: Scored, found: LabelledBoxes) -> Scored:
    """Score other detections on the keyframes that count: what if?"""
    everywhere = np.ones(len(scored.keys), dtype=bool)
    rules = _rules(scored.protocol, everywhere, ~everywhere)
    found, _, left_out = _apply(rules, _in_precision(scored.protocol, found), False)
    hits = _find(scored.protocol, found, scored.truth)
    return replace(scored, found=found, hits=hits, counts=left_out, order=None)


def _apply(
    rules: Iterable[tuple[str, Rule]], boxes: LabelledBoxes, keep_rows: bool
) -> tuple[LabelledBoxes, np.ndarray | None, Counter[str]]:
    """What the rules keep, the places of those rows (if asked for) and how many each took out."""
    rows, counts = np.arange(len(boxes)) if keep_rows else None, Counter[str]()
    for name, rule in rules:
        keep = rule(boxes)
        counts[name] += 0 if keep is None else len(boxes) - int(keep.sum())
        if keep is not None:
            boxes, rows = boxes.where(keep), None if rows is None else rows[keep]
    return boxes, rows, counts


def _find(
    protocol: Protocol,
    found: LabelledBoxes,
    truth: LabelledBoxes,
    rank: np.ndarray | None = None,
) -> Hits:
    return find_hits(
        found,
        truth,
        by_score=protocol.order != "file",
        rank=rank,
        truth_order=partial(in_order, order=protocol.truth_order),
    )


def _rules(
    protocol: Protocol, counting: np.ndarray, dropped: np.ndarray
) -> Iterator[tuple[str, Rule]]:
    """The detections that a protocol keeps, and the count of those that each rule leaves out."""
    yield "detections_excluded", lambda boxes: _on_boxes(boxes, ~dropped[boxes.keyframe])
    yield "detections_ignored", lambda boxes: _on_boxes(boxes, counting[boxes.keyframe])
    if (capacity := protocol.capacity) is not None:
        yield "dropped_by_capacity", lambda boxes: within_capacity(boxes, capacity)
    yield "invalid_boxes", lambda boxes: _on_boxes(boxes, protocol.sound(boxes.corners))
    if protocol.lowest_score > -np.inf:
        yield "low_scores", lambda boxes: boxes.score > protocol.lowest_score
    if (of_class := protocol.class_capacity) is not None:
        yield "dropped_by_capacity", lambda boxes: within_class_capacity(boxes, of_class)


def _on_boxes(boxes: LabelledBoxes, flags: np.ndarray) -> np.ndarray | None:
    return None if flags.all() else boxes.on_boxes(flags)


def _in_precision(protocol: Protocol, boxes: LabelledBoxes) -> LabelledBoxes:
    with np.errstate(over="ignore"):
        return replace(boxes, corners=boxes.corners.astype(protocol.precision, copy=False))


def _odd_corners(boxes: LabelledBoxes) -> tuple[int, int]:
    """Rows with a corner outside [0, 1], and rows with a corner that is NaN."""
    if boxes.corners.min(initial=0) >= 0 and boxes.corners.max(initial=0) <= 1:
        return 0, 0
    undefined = boxes.undefined
    inside = np.all((boxes.corners >= 0) & (boxes.corners <= 1), axis=1)
    outside = boxes.on_boxes(~inside & ~undefined)
    return int(outside.sum()), int(boxes.on_boxes(undefined).sum())


def _members(size: int, *codes: np.ndarray) -> np.ndarray:
    """bool[size], True at the given codes."""
    mask = np.zeros(size, dtype=bool)
    for code in codes:
        mask[code] = True
    return mask
