"""Proposals that lie on a labelled person take over the person's actions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ava_detect.boxes import iou_matrix
from ava_eval.keyframes import keyframe_codes
from ava_eval.tables import ANNOTATION_COLUMNS, BOX, KEYFRAME_COLUMNS

NO_ACTION = -1
NO_PERSON = -1
NO_MATCH = -1


def inherit_labels(
    annotations: pd.DataFrame,
    person_boxes: pd.DataFrame,
    min_iou: float = 0.9,
    negatives: bool = False,
) -> pd.DataFrame:
    """Return Annotations rows for the proposals: a row per proposal and inherited action.

    A proposal inherits all actions of a person with whom its IoU is above ``min_iou``; a person is
    a distinct box and ``person_id`` of a keyframe. Proposals and people of a keyframe are paired
    one to one so that the sum of their IoUs is largest (Hungarian matching). A proposal that is
    left over but lies on somebody, as a double does, inherits from the person it overlaps most: it
    is no negative. With ``negatives``, the proposals of annotated keyframes that match
    nobody are kept as people without an action (id -1). Proposals of other keyframes are left out:
    nothing is known of them. ``person_id`` is -1, for a proposal's place in a track is unknown.
    Rows keep the order of ``person_boxes``.

    The lists ``boxes_and_labels`` that PySlowFast publishes were made in this way.
    """
    proposal_keyframe, row_keyframe = keyframe_codes(person_boxes, annotations)
    rows_of_person, row_person = _people(annotations, row_keyframe)
    person_keyframe = row_keyframe[rows_of_person]
    person_box = annotations[BOX].to_numpy(np.float64)[rows_of_person]
    match = _best_people(
        person_boxes[BOX].to_numpy(np.float64),
        proposal_keyframe,
        person_box,
        person_keyframe,
        min_iou,
    )
    pairs = pd.DataFrame({"row": np.arange(len(match)), "person": match})
    actions = pd.DataFrame(
        {"person": row_person, "action_id": annotations["action_id"].to_numpy(np.int64)}
    ).drop_duplicates()
    pairs = pairs.merge(actions, on="person", how="left", sort=False)
    keep = pairs["person"] != NO_MATCH
    if negatives:
        keep |= np.isin(proposal_keyframe, person_keyframe)[pairs["row"]]
    pairs = pairs[keep].sort_values("row", kind="stable")
    boxes = person_boxes[[*KEYFRAME_COLUMNS, *BOX]].iloc[pairs["row"]].reset_index(drop=True)
    action_id = pairs["action_id"].fillna(NO_ACTION).to_numpy(np.int64)
    return boxes.assign(action_id=action_id, person_id=np.int64(NO_PERSON))[ANNOTATION_COLUMNS]


def _people(annotations: pd.DataFrame, keyframe: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first row i64[P] of each person, and the number i64[rows] of each row's person."""
    key = annotations[[*BOX, "person_id"]].assign(keyframe=keyframe)
    person = key.groupby(list(key.columns), sort=False).ngroup().to_numpy(np.int64)
    return np.unique(person, return_index=True)[1], person


def _best_people(
    boxes: np.ndarray,
    box_keyframe: np.ndarray,
    people: np.ndarray,
    person_keyframe: np.ndarray,
    min_iou: float,
) -> np.ndarray:
    """Return for each box f64[N,4] the person i64[N] of its keyframe that it stands for, or -1."""
    # Imported here, for it takes a second that runs without proposals save.
    from scipy.optimize import linear_sum_assignment

    best = np.full(len(boxes), NO_MATCH, dtype=np.int64)
    people_of = pd.Series(np.arange(len(people))).groupby(person_keyframe, sort=False).indices
    for keyframe, rows in pd.Series(box_keyframe).groupby(box_keyframe, sort=False).indices.items():
        candidates = people_of.get(keyframe)
        if candidates is None:
            continue
        overlap = iou_matrix(boxes[rows], people[candidates])
        overlap[overlap <= min_iou] = 0
        chosen = overlap.argmax(axis=1)
        proposal, person = linear_sum_assignment(overlap, maximize=True)
        paired = overlap[proposal, person] > 0
        chosen[proposal[paired]] = person[paired]
        near = overlap[np.arange(len(rows)), chosen] > 0
        best[rows[near]] = candidates[chosen[near]]
    return best
