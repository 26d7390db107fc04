"""People keep their ids over keyframes; boxes move evenly in between; scores are smoothed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ava_detect.inference.tracks import Tracker


def box(x: float, y: float = 0.3, width: float = 0.1, height: float = 0.4) -> list[float]:
    return [x, y, x + width, y + height]


def see(tracker: Tracker, time: float, *boxes: list[float], score: float = 0.5) -> list[int]:
    """A keyframe with people at ``boxes``; the ids that they got, in order."""
    count = len(boxes)
    corners = np.array(boxes).reshape(-1, 4)
    tracker.update(time, corners, np.full(count, 0.9), np.full((count, 2), score, np.float32))
    found = {tuple(shown.box): shown.track for shown in tracker.shown_at(time)}
    return [found[tuple(corners[row])] for row in range(count)]


def test_a_person_keeps_the_id_and_a_new_one_gets_the_next() -> None:
    tracker = Tracker()
    assert see(tracker, 0.0, box(0.1)) == [1]
    assert see(tracker, 0.5, box(0.7), box(0.12)) == [2, 1]
    assert see(tracker, 1.0, box(0.14), box(0.4), box(0.7)) == [1, 3, 2]
    assert tracker.num_tracks == 3


def test_a_walker_who_leaves_the_own_box_is_the_same() -> None:
    tracker = Tracker()
    assert see(tracker, 0.0, box(0.1)) == [1]
    assert see(tracker, 0.5, box(0.2)) == [1]  # boxes that only touch
    assert see(tracker, 1.0, box(0.3)) == [1]


def test_two_who_cross_keep_their_ids() -> None:
    tracker = Tracker()
    for step in range(9):
        left, right = 0.1 + 0.08 * step, 0.74 - 0.08 * step
        assert see(tracker, 0.5 * step, box(left), box(right, 0.27)) == [1, 2]


@pytest.mark.parametrize(("unseen", "ids"), [(1, [1]), (2, [2])])
def test_a_gap_of_a_second_is_bridged_and_no_longer_one(unseen: int, ids: list[int]) -> None:
    tracker = Tracker(max_gap=1.0)
    see(tracker, 0.0, box(0.1))
    for number in range(unseen):
        see(tracker, 0.5 * (number + 1))
    assert see(tracker, 0.5 * (unseen + 1), box(0.12)) == ids


def test_keyframes_that_are_far_apart_are_linked_all_the_same() -> None:
    tracker = Tracker(max_gap=1.0)
    assert see(tracker, 0.0, box(0.1)) == see(tracker, 4.0, box(0.11)) == [1]


def test_nothing_is_settled_while_somebody_may_come_back() -> None:
    tracker = Tracker(max_gap=1.0)
    see(tracker, 0.0, box(0.1), box(0.6))
    assert tracker.settled == 0.0
    see(tracker, 0.5, box(0.1))
    assert tracker.settled == 0.0
    see(tracker, 1.0, box(0.1), box(0.62))
    assert tracker.settled == 1.0
    see(tracker, 1.5, box(0.1))
    assert tracker.settled == 1.0
    see(tracker, 2.0, box(0.1))
    assert tracker.settled == 2.0
    tracker.finish()
    assert tracker.settled == math.inf


def test_boxes_move_evenly_between_keyframes_and_over_a_gap() -> None:
    tracker = Tracker(hold=0.25)
    see(tracker, 1.0, box(0.1))
    see(tracker, 1.5)
    see(tracker, 2.0, box(0.2))
    tracker.finish()
    places = {0.7: None, 0.8: 0.1, 1.0: 0.1, 1.25: 0.125, 1.5: 0.15, 2.0: 0.2, 2.2: 0.2, 2.3: None}
    for time, x in places.items():
        shown = tracker.shown_at(time)
        if x is None:
            assert not shown
        else:
            np.testing.assert_allclose(shown[0].box, box(x), err_msg=str(time))


def test_scores_are_smoothed_by_the_time_that_has_passed() -> None:
    tracker = Tracker(smoothing=0.5)
    see(tracker, 0.0, box(0.1), score=1.0)
    see(tracker, 0.5, box(0.1), score=0.0)
    see(tracker, 1.5, box(0.1), score=0.0)
    scores = [seen.scores[0] for seen in tracker.tracks[0].sightings]
    np.testing.assert_allclose(scores, [1, math.exp(-1), math.exp(-3)], rtol=1e-6)


def test_no_smoothing_leaves_the_scores() -> None:
    tracker = Tracker(smoothing=0)
    see(tracker, 0.0, box(0.1), score=0.25)
    see(tracker, 0.5, box(0.1), score=0.75)
    assert [seen.scores[0] for seen in tracker.tracks[0].sightings] == [0.25, 0.75]


def test_tracks_are_released_once_and_only_when_nothing_of_them_is_to_be_drawn() -> None:
    tracker = Tracker(max_gap=1.0, hold=0.25)
    see(tracker, 0.0, box(0.1), box(0.6))
    see(tracker, 0.5, box(0.1))
    assert tracker.release(5.0) == []  # the second may still come back
    see(tracker, 1.0, box(0.1))
    assert tracker.release(0.2) == []
    assert [track.id for track in tracker.release(1.0)] == [2]
    assert [track.id for track in tracker.tracks] == [1]
    tracker.finish()
    assert [track.id for track in tracker.release(math.inf)] == [1]
    assert tracker.tracks == []


def test_a_crowd_is_linked_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    places = [box(0.09 * (n % 11), 0.15 * (n // 11), 0.06, 0.12) for n in range(60)]
    tracker = Tracker()
    first = see(tracker, 0.0, *places)
    order = rng.permutation(60)
    second = see(tracker, 0.5, *[places[n] for n in order])
    assert [first[n] for n in order] == second
