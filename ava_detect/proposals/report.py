"""How good person boxes are: COCO's AP, what a score threshold costs, and for whom they fail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ava_detect.proposals.coco_ap import (
    IOU_THRESHOLDS,
    Matches,
    Overlaps,
    mean_precision,
    precision_at_recalls,
)
from ava_eval.frame_map import mean_of_defined, null_if_nan, score_tables
from ava_eval.keyframes import keyframe_codes
from ava_eval.labelled_boxes import run_starts
from ava_eval.tables import BOX

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
# The detector of the SlowFast paper (arXiv 1812.03982, section 5: "person detector").
PAPER = {"AP50": 0.939, "score": 0.8, "recall": 0.911, "precision": 0.907}
# Shares of the frame and numbers of people, from ... up to, not including.
SIZES = {"<1%": (0.0, 0.01), "1-4%": (0.01, 0.04), "4-16%": (0.04, 0.16), ">16%": (0.16, np.inf)}
CROWDS = {"0": (0, 1), "1": (1, 2), "2": (2, 3), "3-4": (3, 5), "5+": (5, np.inf)}


def proposal_report(
    person_boxes: pd.DataFrame,
    annotations: pd.DataFrame,
    keyframes: pd.DataFrame | None = None,
    label_map: pd.DataFrame | None = None,
) -> dict:
    """Compare proposals with the people of the annotations; plain values, None where undefined.

    Only ``keyframes`` count (default: those of the annotations). People are the distinct boxes of a
    keyframe. All is by COCO's matching (``coco_ap``), at an IoU of 0.5 unless said otherwise:

    - ``AP50``, ``AP`` (the mean over IoUs of 0.5, 0.55 ... 0.95), and ``curves``: the precision at
      a recall of 0, 0.01 ... 1 for the IoUs ``0.5`` and ``0.75``. AP takes the best 100 boxes of a
      keyframe; everything else takes all;
    - ``keyframes``, ``people`` and ``boxes``: their numbers;
    - ``thresholds``: for each ``score`` 0.05 ... 0.95 the ``recall``, ``precision`` and ``F1`` of
      the boxes at or above it, ``boxes_per_keyframe`` and ``mAP_ceiling``;
    - ``best``: the same for the score of the highest F1 of all (the highest such score); None if no
      box finds anybody;
    - ``by_size``: the ``people`` of some share of the frame (``name``), their ``AP50`` (COCO's of
      an area) and their ``recall`` at the best score;
    - ``by_people``: the keyframes with so many people (``name``): their ``keyframes``, ``people``
      and ``AP50``, at the best score ``recall``, ``precision`` and ``false_boxes_per_keyframe``;
    - ``paper``: the detector of the SlowFast paper.

    ``mAP_ceiling`` is the frame-mAP (protocol 2020, classes of ``label_map``; None without) of a
    classifier that knows all actions of whoever it looks at: a box shows the person it overlaps
    most, and of several that show one person the best score speaks. It is below what a choice of
    labels for the metric's sake could reach, for there a box may also speak for a second person.
    """
    world = _World.of(person_boxes, annotations, annotations if keyframes is None else keyframes)
    precisions = [world.overlaps.precision(world.overlaps.match(iou)) for iou in IOU_THRESHOLDS]
    aps = [mean_precision(precision) for precision in precisions]
    ceiling = None if label_map is None else _Ceiling.of(world, label_map)
    best = world.best_score()
    return {
        "AP50": aps[0],
        "AP": None if aps[0] is None else float(np.mean(np.array(aps, np.float64))),
        "keyframes": len(world.crowd),
        "people": len(world.people_keyframe),
        "boxes": len(world.boxes),
        "thresholds": [_at(score, world, ceiling) for score in THRESHOLDS],
        "best": None if best is None else _at(best, world, ceiling),
        "by_size": [_of_size(name, world, best) for name in SIZES],
        "by_people": [_of_crowd(name, world, best) for name in CROWDS],
        "paper": dict(PAPER),
        "curves": {f"{IOU_THRESHOLDS[place]:g}": _rounded(precisions[place]) for place in (0, 5)},
    }


@dataclass(frozen=True)
class _World:
    """The rows that count, and who found whom at an IoU of 0.5.

    ``boxes`` and ``rows`` are the person boxes and the annotations on listed keyframes, ``person``
    i64[rows] the person of each row, ``people_keyframe`` i64[G] the keyframe of each person and
    ``crowd`` i64[K] the number of people of each keyframe.
    """

    boxes: pd.DataFrame
    rows: pd.DataFrame
    keyframes: pd.DataFrame
    person: np.ndarray
    people_keyframe: np.ndarray
    crowd: np.ndarray
    overlaps: Overlaps
    matches: Matches

    @classmethod
    def of(
        cls, person_boxes: pd.DataFrame, annotations: pd.DataFrame, keyframes: pd.DataFrame
    ) -> _World:
        listed, found_in, present_in = keyframe_codes(keyframes, person_boxes, annotations)
        size = int(listed.max(initial=-1)) + 1  # listed keyframes have the first numbers
        boxes, rows = person_boxes[found_in < size], annotations[present_in < size]
        found_in, present_in = found_in[found_in < size], present_in[present_in < size]
        who = rows[BOX].assign(keyframe=present_in)
        person = who.groupby(list(who), sort=False, dropna=False).ngroup().to_numpy(np.int64)
        first = np.unique(person, return_index=True)[1]
        overlaps = Overlaps.of(
            found_in,
            boxes[BOX].to_numpy(np.float64),
            boxes["score"].to_numpy(np.float64),
            present_in[first],
            rows[BOX].to_numpy(np.float64)[first],
        )
        crowd = np.bincount(present_in[first], minlength=size)
        matches = overlaps.match(IOU_THRESHOLDS[0])
        return cls(boxes, rows, keyframes, person, present_in[first], crowd, overlaps, matches)

    @property
    def score_of_person(self) -> np.ndarray:
        """The score at which each person is found -> f64[G], -inf for those who never are."""
        score = np.full(len(self.people_keyframe), -np.inf)
        hits = self.matches.hits
        score[self.matches.person[hits]] = self.overlaps.score[hits]
        return score

    def best_score(self) -> float | None:
        """The score whose boxes have the highest F1, the highest of equal ones."""
        order = np.argsort(-self.overlaps.score, kind="stable")
        found = np.cumsum(self.matches.hits[order])
        if not len(found) or not found[-1]:
            return None
        score = self.overlaps.score[order]
        last = np.append(run_starts(score)[1:], len(score)) - 1
        f1 = 2 * found[last] / (last + 1 + len(self.people_keyframe))
        return float(score[last[np.argmax(f1)]])


@dataclass(frozen=True)
class _Ceiling:
    """Perfect labels: of each action that is found its class i64[H] and the box's score f64[H],
    and the number of each class's rows in the ground truth i64[C]."""

    action: np.ndarray
    score: np.ndarray
    num_truth: np.ndarray

    @classmethod
    def of(cls, world: _World, label_map: pd.DataFrame) -> _Ceiling:
        """Score the boxes with the actions of those whom they show, once for all thresholds.

        With a box's score for each of its actions, those at or above a threshold are right or not
        whatever is below it: they choose first and survive the protocol's cap first.
        """
        box = _box_of_person(world)[world.person]
        seen = box >= 0
        labelled = world.boxes.iloc[box[seen]].reset_index(drop=True)
        labelled["action_id"] = world.rows["action_id"].to_numpy(np.int64)[seen]
        labelled = labelled.assign(box=box[seen]).drop_duplicates(["box", "action_id"])
        scored, _ = score_tables(world.rows, labelled, label_map, keyframes=world.keyframes)
        hits = scored.hits.found
        return cls(scored.found.action[hits], scored.scores[hits], scored.num_truth)

    def at(self, score: float) -> float | None:
        """The mAP of the boxes at or above a score: where nothing is wrong, AP is the recall."""
        some = self.action[self.score >= score]
        found = np.bincount(some, minlength=len(self.num_truth))
        recall = np.full(len(self.num_truth), np.nan)
        np.divide(found, self.num_truth, out=recall, where=self.num_truth > 0)
        return null_if_nan(mean_of_defined(recall))


def _box_of_person(world: _World) -> np.ndarray:
    """The box that shows each person best, by its score -> i64[G], -1 where none does.

    A box shows the person it overlaps most, the first of equals.
    """
    overlaps = world.overlaps
    order = np.lexsort((overlaps.person, -overlaps.iou, overlaps.box))
    order = order[run_starts(overlaps.box[order])]
    box, person = overlaps.box[order], overlaps.person[order]
    order = np.lexsort((-overlaps.score[box], person))
    order = order[run_starts(person[order])]
    best = np.full(len(world.people_keyframe), -1)
    best[person[order]] = box[order]
    return best


def _at(score: float, world: _World, ceiling: _Ceiling | None) -> dict:
    """What the boxes at or above a score are worth."""
    kept = world.overlaps.score >= score
    count, found = int(kept.sum()), int(world.matches.hits[kept].sum())
    people = len(world.people_keyframe)
    return {
        "score": score,
        "recall": _share(found, people),
        "precision": _share(found, count),
        "F1": _share(2 * found, count + people) if people else None,
        "boxes_per_keyframe": _share(count, len(world.crowd)),
        "mAP_ceiling": None if ceiling is None else ceiling.at(score),
    }


def _of_size(name: str, world: _World, best: float | None) -> dict:
    """The people who fill such a share of the frame."""
    low, high = SIZES[name]
    area = world.overlaps.people_area
    mine = (area >= low) & (area < high)
    sizes = (low, np.nextafter(high, low))  # COCO's ranges include both ends
    return {
        "name": name,
        "people": int(mine.sum()),
        "AP50": world.overlaps.average_precision(IOU_THRESHOLDS[0], sizes),
        "recall": _recall(world, mine, best),
    }


def _of_crowd(name: str, world: _World, best: float | None) -> dict:
    """The keyframes with so many people; without a best score nothing depends on one."""
    low, high = CROWDS[name]
    mine = (world.crowd >= low) & (world.crowd < high)
    boxes, people = mine[world.overlaps.keyframe], mine[world.people_keyframe]
    ranking = world.overlaps.ranking[boxes[world.overlaps.ranking]]
    num_keyframes, num_people, hits = int(mine.sum()), int(people.sum()), world.matches.hits
    precision = false_boxes = None
    if best is not None:
        kept = boxes & (world.overlaps.score >= best)
        count, found = int(kept.sum()), int(hits[kept].sum())
        precision = _share(found, count) if num_people else None
        false_boxes = _share(count - found, num_keyframes)
    return {
        "name": name,
        "keyframes": num_keyframes,
        "people": num_people,
        "AP50": mean_precision(precision_at_recalls(hits[ranking], num_people)),
        "recall": _recall(world, people, best),
        "precision": precision,
        "false_boxes_per_keyframe": false_boxes,
    }


def _recall(world: _World, people: np.ndarray, score: float | None) -> float | None:
    """The share of some people bool[G] whom a box at or above a score finds."""
    if score is None:
        return None
    return _share(int((world.score_of_person[people] >= score).sum()), int(people.sum()))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(precision: np.ndarray | None) -> list[float] | None:
    return None if precision is None else np.round(precision, 4).tolist()
