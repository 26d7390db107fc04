from __future__ import annotations

import pandas as pd
import pytest

from ava_detect.proposals.labels import inherit_labels

ROW = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "person_id"]
TALL, WIDE = (0.1, 0.1, 0.3, 0.9), (0.4, 0.5, 0.9, 0.7)
NEAR_TALL = (0.1, 0.1, 0.3, 0.8)  # IoU with TALL: 0.875
TRUTH = pd.DataFrame(
    [
        ("v", 902.0, *TALL, 12, 0),
        ("v", 902.0, *WIDE, 8, 1),
        ("v", 902.0, *TALL, 80, 0),
        ("v", 903.0, *WIDE, 14, 1),
    ],
    columns=ROW,
)


def boxes(*rows: tuple) -> pd.DataFrame:
    table = [("v", time, *box, 0.9) for time, box in rows]
    return pd.DataFrame(table, columns=["video_id", "timestamp", "x1", "y1", "x2", "y2", "score"])


@pytest.mark.parametrize(
    ("proposals", "options", "expected"),
    [
        ([(902.0, TALL)], {}, [(902.0, TALL, 12), (902.0, TALL, 80)]),
        (
            [(902.0, WIDE), (902.0, TALL)],
            {},
            [(902.0, WIDE, 8), (902.0, TALL, 12), (902.0, TALL, 80)],
        ),
        ([(902.0, NEAR_TALL)], {}, []),
        ([(902.0, NEAR_TALL)], {"min_iou": 0.8}, [(902.0, NEAR_TALL, 12), (902.0, NEAR_TALL, 80)]),
        ([(902.0, NEAR_TALL)], {"negatives": True}, [(902.0, NEAR_TALL, -1)]),
        ([(902.0, TALL)], {"min_iou": 1.0}, []),
        ([(903.0, TALL), (903.0, WIDE)], {}, [(903.0, WIDE, 14)]),
        (
            [(903.0, TALL), (903.0, WIDE)],
            {"negatives": True},
            [(903.0, TALL, -1), (903.0, WIDE, 14)],
        ),
        ([(904.0, TALL)], {"negatives": True}, []),
        ([(902.0, WIDE), (902.0, WIDE)], {}, [(902.0, WIDE, 8), (902.0, WIDE, 8)]),
        ([], {"negatives": True}, []),
    ],
    ids=[
        "all actions of the person", "order of the proposals", "too far", "near enough",
        "kept negative", "strictly above", "other keyframe", "negative beside positive",
        "keyframe without annotations", "two proposals on one person", "no proposals",
    ],
)  # fmt: skip
def test_a_proposal_inherits_the_actions_of_the_person_it_lies_on(proposals, options, expected):
    rows = inherit_labels(TRUTH, boxes(*proposals), **options)
    assert list(rows.columns) == ROW
    got = [
        (time, (x1, y1, x2, y2), action)
        for _, time, x1, y1, x2, y2, action, _ in rows.itertuples(index=False)
    ]
    assert got == expected
    assert (rows["person_id"] == -1).all()
    assert rows["action_id"].dtype == rows["person_id"].dtype == "int64"


def test_the_best_of_two_overlapping_people_is_chosen():
    truth = pd.DataFrame(
        [("v", 902.0, 0.1, 0.1, 0.3, 0.85, 11, 4), ("v", 902.0, *TALL, 12, 5)], columns=ROW
    )
    rows = inherit_labels(truth, boxes((902.0, TALL)), min_iou=0.5)
    assert rows["action_id"].tolist() == [12]


def test_people_of_one_box_are_told_apart_by_their_id():
    truth = pd.DataFrame([("v", 902.0, *TALL, 11, 4), ("v", 902.0, *TALL, 12, 5)], columns=ROW)
    assert inherit_labels(truth, boxes((902.0, TALL)))["action_id"].tolist() == [11]


def test_a_repeated_row_counts_once():
    truth = pd.concat([TRUTH, TRUTH], ignore_index=True)
    assert inherit_labels(truth, boxes((902.0, TALL)))["action_id"].tolist() == [12, 80]


def test_row_numbers_of_a_filtered_table_do_not_matter():
    table = boxes((904.0, TALL), (902.0, WIDE))
    table = table[table["timestamp"] == 902.0]
    assert inherit_labels(TRUTH, table)["action_id"].tolist() == [8]


LEFT, RIGHT = (0.10, 0.1, 0.30, 0.9), (0.13, 0.1, 0.33, 0.9)  # two people close together
TWO = pd.DataFrame([("v", 902.0, *LEFT, 11, 0), ("v", 902.0, *RIGHT, 12, 1)], columns=ROW)


def test_two_proposals_do_not_share_a_person_while_the_other_is_free():
    between = (0.112, 0.1, 0.312, 0.9)  # nearer to LEFT, which the other proposal fits exactly
    rows = inherit_labels(TWO, boxes((902.0, between), (902.0, LEFT)), min_iou=0.75)
    assert rows["action_id"].tolist() == [12, 11]


def test_a_double_is_no_negative():
    rows = inherit_labels(
        TWO, boxes((902.0, LEFT), (902.0, LEFT), (902.0, RIGHT)), min_iou=0.9, negatives=True
    )
    assert rows["action_id"].tolist() == [11, 11, 12]


def test_a_pair_that_is_too_far_apart_does_not_count_towards_the_sum():
    far = (0.10, 0.1, 0.27, 0.9)  # IoU 0.85 with LEFT, 0.61 with RIGHT
    rows = inherit_labels(TWO, boxes((902.0, far), (902.0, LEFT)), min_iou=0.75, negatives=True)
    assert rows["action_id"].tolist() == [11, 11]
    rows = inherit_labels(TWO, boxes((902.0, far), (902.0, LEFT)), min_iou=0.9, negatives=True)
    assert rows["action_id"].tolist() == [-1, 11]
