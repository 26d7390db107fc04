"""The mAP on parts of the data: by the size of people, by people on the frame, by frequency."""

from __future__ import annotations

from typing import Any

import numpy as np

from ava_eval.average_precision import average_precision
from ava_eval.classes import GROUPS, Classes
from ava_eval.diagnosis.people import People
from ava_eval.frame_map import mean_of_defined
from ava_eval.scoring import Scored

# From ... up to, not including.
SIZES = {"small": (0.0, 0.1), "medium": (0.1, 0.35), "large": (0.35, np.inf)}  # of the frame's area
PEOPLE = {"1": (1, 2), "2": (2, 3), "3-4": (3, 5), "5+": (5, np.inf)}
FREQUENCIES = {"rare": (1, 100), "common": (100, 1000), "frequent": (1000, np.inf)}  # rows


def by_group(ap: np.ndarray, classes: Classes) -> list[dict[str, Any]]:
    """Of AVA's kinds of action."""
    return [_of_classes(name, ap, classes.group(name)) for name in GROUPS]


def by_frequency(ap: np.ndarray, num_truth: np.ndarray) -> list[dict[str, Any]]:
    """Of actions with few and many rows in the ground truth."""
    return [
        _of_classes(name, ap, (num_truth >= low) & (num_truth < high))
        for name, (low, high) in FREQUENCIES.items()
    ]


def by_size(scored: Scored, people: People) -> list[dict[str, Any]]:
    """Of people that fill little and much of the frame.

    A detection belongs to the person that it found or lies on, else to its own size; those of
    other sizes are left out, as COCO does.
    """
    size_of_person, size_of_box = (_area(side.corners) for side in (people.truth, people.found))
    on = people.on_person
    size_of_box[on] = size_of_person[people.person[on]]
    of_found = size_of_box[people.found.box]
    of_truth = size_of_person[people.truth.box]
    of_found[scored.hits.found] = of_truth[scored.hits.truth]
    return [
        _of_rows(name, scored, _within(of_truth, bounds), _within(of_found, bounds))
        for name, bounds in SIZES.items()
    ]


def by_people(scored: Scored, people: People) -> list[dict[str, Any]]:
    """Of keyframes with few and many people."""
    size = max(int(side.keyframe.max(initial=0)) for side in (people.truth, people.found)) + 1
    number = np.bincount(people.truth.keyframe, minlength=size)
    of_truth, of_found = (number[side.keyframe_of_row] for side in (people.truth, people.found))
    return [
        _of_rows(name, scored, _within(of_truth, bounds), _within(of_found, bounds))
        for name, bounds in PEOPLE.items()
    ]


def _within(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    return (values >= bounds[0]) & (values < bounds[1])


def _area(corners: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = corners.T.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return (x2 - x1) * (y2 - y1)


def _of_classes(name: str, ap: np.ndarray, some: np.ndarray) -> dict[str, Any]:
    return {
        "name": name,
        "mAP": mean_of_defined(ap[some]),
        "classes": int((~np.isnan(ap[some])).sum()),
    }


def _of_rows(name: str, scored: Scored, truth: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    """The mAP of some rows of both sides; classes without ground truth among them do not count."""
    num_truth = np.bincount(scored.truth.action[truth], minlength=scored.num_classes)
    aps = []
    for rows, number in zip(scored.rows_of_class, num_truth, strict=True):
        mine = rows[found[rows]]
        if not len(mine) and not scored.protocol.undetected_classes_count:
            continue
        aps.append(average_precision(scored.scores[mine], scored.correct[mine], int(number)))
    return {
        "name": name,
        "mAP": mean_of_defined(np.array(aps)),
        "classes": int((~np.isnan(aps)).sum()),
        "groundtruth": int(truth.sum()),
        "detections": int(found.sum()),
    }
