"""The people of each keyframe, taken from the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ava_eval.tables import BOX

PERSON = ["video_id", "timestamp", *BOX, "person_id"]


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A moment of a video and its N >= 1 people.

    Attributes:
        video_id: the video, as in the tables.
        timestamp: seconds, as in the tables.
        rows: i64[N], the identity of each box: its row in ``PersonBoxes``, or its number among
            the people of a training set.
        boxes: f32[N, 4], x1 y1 x2 y2 normalised to [0, 1].
        labels: f32[N, C] of 0 and 1, or None where nothing is known.
    """

    video_id: str
    timestamp: float
    rows: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray | None


def training_keyframes(annotations: pd.DataFrame, action_ids: Sequence[int]) -> list[Keyframe]:
    """The labelled people of ``Annotations``, sorted by video and time.

    A person is one distinct (video, timestamp, box, person_id); each of its rows adds one action.
    An action that is not among ``action_ids`` adds nothing, so that a person who does none of
    them (or has the action -1, "no action") stays, with labels of zeros, as a negative.

    Args:
        annotations: the table, one row per person and action.
        action_ids: the action of each column of the labels, in order.
    """
    ordered = annotations.sort_values(["video_id", "timestamp"], kind="stable")
    person = ordered.groupby(PERSON, sort=False, dropna=False).ngroup().to_numpy()
    people = ordered.iloc[np.unique(person, return_index=True)[1]]
    labels = np.zeros((len(people), len(action_ids)), np.float32)
    column = pd.Index(action_ids).get_indexer(ordered["action_id"])
    known = column >= 0
    labels[person[known], column[known]] = 1
    return _by_keyframe(people, np.arange(len(people)), labels)


def detection_keyframes(person_boxes: pd.DataFrame, score_threshold: float = 0.0) -> list[Keyframe]:
    """The people of ``PersonBoxes`` whose score is at least the threshold, sorted likewise.

    They have no labels; ``rows`` are row numbers of ``person_boxes``.
    """
    rows = np.flatnonzero(person_boxes["score"].to_numpy() >= score_threshold)
    people = person_boxes.iloc[rows].assign(row=rows)
    people = people.sort_values(["video_id", "timestamp"], kind="stable")
    return _by_keyframe(people, people["row"].to_numpy(), None)


def _by_keyframe(
    people: pd.DataFrame, rows: np.ndarray, labels: np.ndarray | None
) -> list[Keyframe]:
    """Split a table of people, sorted by video and time, where the keyframe changes."""
    videos, timestamps = people["video_id"].to_numpy(), people["timestamp"].to_numpy()
    boxes = people[BOX].to_numpy(np.float32)
    changes = (videos[1:] != videos[:-1]) | (timestamps[1:] != timestamps[:-1])
    starts = np.flatnonzero(np.concatenate([[len(people) > 0], changes]))
    stops = np.append(starts, len(people))[1:]
    return [
        Keyframe(
            video_id=videos[start],
            timestamp=float(timestamps[start]),
            rows=rows[start:stop].astype(np.int64),
            boxes=boxes[start:stop],
            labels=None if labels is None else labels[start:stop],
        )
        for start, stop in zip(starts, stops, strict=True)
    ]
