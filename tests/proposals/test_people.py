from __future__ import annotations

import numpy as np
import pandas as pd

from ava_detect.proposals.people import people_of_keyframes

COLUMNS = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "person_id"]
TALL, WIDE, FLAT = (0.1, 0.1, 0.3, 0.9), (0.4, 0.5, 0.9, 0.7), (0.5, 0.5, 0.5, 0.9)


def people(*rows: tuple) -> list[tuple]:
    table = [(video_id, time, *box, 12, 0) for video_id, time, box in rows]
    return [
        (sample.video_id, sample.timestamp, [tuple(box.tolist()) for box in sample.boxes])
        for sample in people_of_keyframes(pd.DataFrame(table, columns=COLUMNS))
    ]


def single(box: tuple) -> tuple:
    return tuple(np.float32(box).tolist())


def test_distinct_boxes_are_gathered_by_keyframe_in_order_of_appearance():
    rows = [("b", 903.0, WIDE), ("a", 902.0, TALL), ("b", 903.0, TALL), ("b", 903.0, WIDE)]
    assert people(*rows) == [
        ("b", 903.0, [single(WIDE), single(TALL)]),
        ("a", 902.0, [single(TALL)]),
    ]


def test_boxes_without_area_are_nobody():
    assert people(("a", 902.0, FLAT)) == []
    assert people(("a", 902.0, FLAT), ("a", 902.0, TALL)) == [("a", 902.0, [single(TALL)])]


def test_no_rows_are_no_keyframes():
    assert people() == []
