"""Tables to people per keyframe."""

import numpy as np
import pandas as pd
import pytest

from ava_detect.data.keyframes import detection_keyframes, training_keyframes

BOX_A, BOX_B = (0.1, 0.2, 0.3, 0.4), (0.5, 0.5, 0.9, 1.0)
COLUMNS = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "person_id"]
ACTIONS = [80, 3, 12]


def annotations(*rows: tuple) -> pd.DataFrame:
    """Rows of (video, timestamp, box, action, person)."""
    return pd.DataFrame([(v, t, *box, a, p) for v, t, box, a, p in rows], columns=COLUMNS)


def test_the_rows_of_a_person_become_one_multi_hot_row() -> None:
    keyframes = training_keyframes(
        annotations(
            ("v", 903.0, BOX_A, 12, 0),
            ("v", 902.0, BOX_A, 12, 0),
            ("u", 902.0, BOX_B, 3, 7),
            ("v", 902.0, BOX_B, 3, 1),
            ("v", 902.0, BOX_A, 80, 0),
            ("v", 902.0, BOX_A, 80, 0),
        ),
        ACTIONS,
    )
    assert [(k.video_id, k.timestamp) for k in keyframes] == [("u", 902), ("v", 902), ("v", 903)]
    assert [k.rows.tolist() for k in keyframes] == [[0], [1, 2], [3]]
    np.testing.assert_allclose(keyframes[1].boxes, [BOX_A, BOX_B])
    assert keyframes[1].labels.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert keyframes[1].boxes.dtype == keyframes[1].labels.dtype == np.float32
    assert keyframes[1].rows.dtype == np.int64


@pytest.mark.parametrize("action", [-1, 5])
def test_a_person_without_a_wanted_action_stays_as_a_negative(action: int) -> None:
    keyframes = training_keyframes(
        annotations(("v", 1.0, BOX_A, action, -1), ("v", 1.0, BOX_B, 3, -1)), ACTIONS
    )
    assert keyframes[0].labels.tolist() == [[0, 0, 0], [0, 1, 0]]


def test_one_box_of_two_people_is_two_people() -> None:
    keyframes = training_keyframes(
        annotations(("v", 1.0, BOX_A, 3, 0), ("v", 1.0, BOX_A, 12, 1)), ACTIONS
    )
    assert keyframes[0].labels.tolist() == [[0, 1, 0], [0, 0, 1]]


def test_rows_of_detections_are_rows_of_their_table() -> None:
    boxes = pd.DataFrame(
        [
            ("v", 2.0, *BOX_A, 0.9),
            ("v", 1.0, *BOX_A, 0.8),
            ("u", 2.0, *BOX_A, 0.799),
            ("v", 1.0, *BOX_B, 1.0),
            ("u", 5.5, *BOX_B, 0.95),
        ],
        columns=["video_id", "timestamp", "x1", "y1", "x2", "y2", "score"],
    )
    keyframes = detection_keyframes(boxes, 0.8)
    assert [(k.video_id, k.timestamp, k.rows.tolist()) for k in keyframes] == [
        ("u", 5.5, [4]),
        ("v", 1.0, [1, 3]),
        ("v", 2.0, [0]),
    ]
    assert all(keyframe.labels is None for keyframe in keyframes)
    np.testing.assert_allclose(keyframes[1].boxes, [BOX_A, BOX_B])
    assert sum(len(k.rows) for k in detection_keyframes(boxes)) == len(boxes)


def test_no_people_make_no_keyframes() -> None:
    assert training_keyframes(annotations(("v", 1.0, BOX_A, 3, 0)).iloc[:0], ACTIONS) == []
    empty = pd.DataFrame({name: [] for name in [*COLUMNS[:6], "score"]})
    assert detection_keyframes(empty, 0.5) == []
