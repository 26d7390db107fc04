from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ava_detect.proposals.proposer import propose_keyframes
from ava_detect.timebase import Timebase
from ava_eval.errors import InputError
from ava_eval.tables import PERSON_BOX_COLUMNS

TIMEBASE = Timebase(fps=30.0)


class Scripted:
    """Answers what it was told to, and remembers the sizes of its batches."""

    name = "scripted"

    def __init__(self, *answers: list[tuple[float, ...]]) -> None:
        self.answers = [np.array(rows, np.float32).reshape(-1, 5) for rows in answers]
        self.batches: list[int] = []

    def propose(self, images):
        first = sum(self.batches)
        self.batches.append(len(images))
        answers = self.answers[first : first + len(images)]
        return [(rows[:, :4], rows[:, 4]) for rows in answers]


class Gray:
    """A ClipSource of gray frames, 200x100, one a second from 900 to 1899."""

    def __init__(self, broken=()) -> None:
        self.asked = []
        self.broken = broken

    def walk(self, video_id, frames):
        for number in frames.tolist():
            self.asked.append((video_id, number))
            if number in self.broken:
                raise InputError(f"frame {number} is damaged")
            yield np.full((100, 200, 3), 128, np.uint8)

    def frame_times(self, video_id):
        return 900 + np.arange(1000.0)


def keyframes(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["video_id", "timestamp"])


def propose(answers, rows, **options):
    return propose_keyframes(Scripted(*answers), Gray(), keyframes(*rows), TIMEBASE, **options)


@pytest.mark.parametrize(
    ("pixels", "normalised"),
    [
        ((20, 10, 100, 50), [(0.1, 0.1, 0.5, 0.5)]),
        ((-5, -5, 250, 120), [(0, 0, 1, 1)]),
        ((1 / 3, 0, 100, 100), [(0.001667, 0, 0.5, 1)]),
        ((210, 0, 260, 50), []),
        ((20, 10, 20, 50), []),
        ((20, 10, 20.00001, 50), []),
        ((50, 10, 20, 50), []),
    ],
    ids=["inside", "clipped", "rounded", "outside", "flat", "flat after rounding", "inverted"],
)
def test_boxes_are_normalised_clipped_and_not_degenerate(pixels, normalised):
    found = propose([[(*pixels, 0.9)]], [("v", 902.0)])
    assert [tuple(row) for row in found[["x1", "y1", "x2", "y2"]].to_numpy()] == normalised


def test_rows_follow_the_keyframes_and_carry_their_times():
    answers = [[(0, 0, 10, 10, 0.9), (0, 0, 20, 20, 0.123456789)], [], [(0, 0, 30, 30, 0.5)]]
    found = propose(answers, [("-b", 903.5), ("a", 902.0), ("a", 910.0)])
    assert list(found.columns) == PERSON_BOX_COLUMNS
    assert found[["video_id", "timestamp", "score"]].to_numpy().tolist() == [
        ["-b", 903.5, 0.9],
        ["-b", 903.5, 0.123457],
        ["a", 910.0, 0.5],
    ]
    assert found.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "scores"),
    [
        ({}, [0.9, 0.5, 0.05]),
        ({"min_score": 0.5}, [0.9, 0.5]),
        ({"max_boxes": 1}, [0.9]),
        ({"min_score": 0.0}, [0.9, 0.5, 0.05, 0.04]),
    ],
)
def test_weak_and_surplus_boxes_are_dropped(options, scores):
    answer = [(0, 0, 10, 10, score) for score in (0.9, 0.5, 0.05, 0.04)]
    assert propose([answer], [("v", 902.0)], **options)["score"].tolist() == scores


def test_the_keyframe_itself_is_read_in_batches():
    source, scripted, seen = Gray(), Scripted(*[[]] * 5), []
    found = propose_keyframes(
        scripted,
        source,
        keyframes(*[("v", 902.0 + second) for second in range(5)]),
        TIMEBASE,
        batch_size=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert source.asked == [("v", 2 + second) for second in range(5)]
    assert scripted.batches == [2, 2, 1]
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert found.dtypes.loc["x1":].eq(np.float64).all()
    assert len(found) == 0


@pytest.mark.parametrize("rows", [[], [("v", 902.0)]], ids=["no keyframes", "nobody found"])
def test_nobody_is_an_empty_table_of_the_same_columns(rows):
    found = propose([[]], rows)
    assert list(found.columns) == PERSON_BOX_COLUMNS
    full = propose([[(0, 0, 10, 10, 0.9)]], [("v", 902.0)])
    assert found.dtypes.tolist() == full.dtypes.tolist()


def test_what_cannot_be_read_is_told_and_the_rest_goes_on():
    answers = [[(0, 0, 10, 10, 0.9)], [(0, 0, 20, 20, 0.8)], [(0, 0, 30, 30, 0.7)]]
    rows = [("b", 905.0), ("a", 903.0), ("a", 2000.0), ("a", 902.0), ("a", 904.0)]
    problems = []
    found = propose_keyframes(
        Scripted(*answers),
        Gray(broken=[3]),
        keyframes(*rows),
        TIMEBASE,
        unreadable=lambda video_id, time, reason: problems.append((video_id, time, str(reason))),
    )
    # Read in the order of time, written in that of the keyframes.
    assert found[["video_id", "timestamp", "score"]].to_numpy().tolist() == [
        ["b", 905.0, 0.9],
        ["a", 902.0, 0.8],
        ["a", 904.0, 0.7],
    ]
    assert [problem[:2] for problem in problems] == [("a", 903.0), ("a", 2000.0)]
    assert problems[0][2] == "frame 3 is damaged"


@pytest.mark.parametrize("timestamp", [-1.0, 2001.0])
def test_a_keyframe_outside_of_the_video_is_refused(timestamp: float) -> None:
    with pytest.raises(InputError, match="lies outside of the file"):
        propose_keyframes(Scripted([]), Gray(), keyframes(("v", timestamp)), Timebase())


class Thin(Gray):
    """Frames of one row."""

    def walk(self, video_id, frames):
        return iter(np.zeros((len(frames), 1, 400, 3), np.uint8))


def test_a_frame_too_thin_to_be_resized_shows_nobody():
    proposer = Scripted([(0, 0, 9, 1, 0.9)])
    boxes = propose_keyframes(proposer, Thin(), keyframes(("v", 902.0)), TIMEBASE)
    assert boxes.empty
    assert proposer.batches == []
