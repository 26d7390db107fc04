"""The errors that a page shows: the worst, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from ava_eval.diagnosis import diagnose
from ava_eval.frame_map import score_tables
from ava_eval.report.examples import _in_turns, examples


def test_the_worst_errors_are_named(label_map, annotations, detections) -> None:
    truth = annotations(
        [
            ("v", 1.0, 0.0, 0.0, 0.4, 0.8, 1, 0),
            ("v", 2.0, 0.0, 0.0, 0.4, 0.8, 1, 0),
            ("v", 3.0, 0.0, 0.0, 0.4, 0.8, 1, 0),
            ("v", 3.0, 0.0, 0.0, 0.4, 0.8, 80, 0),
            ("v", 4.0, 0.0, 0.0, 0.4, 0.8, 80, 0),
        ]
    )
    found = detections(
        [
            ("v", 1.0, 0.0, 0.0, 0.4, 0.8, 1, 0.5),
            ("v", 2.0, 0.6, 0.0, 0.9, 0.8, 1, 0.9),  # nobody there, and the person is missed
            ("v", 4.0, 0.0, 0.0, 0.4, 0.8, 1, 0.8),  # does something else
        ]
    )
    scored, classes = score_tables(truth, found, label_map)
    chosen = examples(scored, diagnose(scored, classes), classes)
    told = [(e.cause, e.timestamp, e.said, e.score, e.actions, e.overlap) for e in chosen]
    assert told == [
        ("background", 2.0, "walk", 0.9, ["walk"], 0.0),
        ("class", 4.0, "walk", 0.8, ["walk", "talk"], 1.0),
        ("missed", 3.0, None, None, ["walk", "talk"], 0.0),  # talk has lost most
        ("missed", 2.0, None, None, ["walk"], 0.0),
    ]
    assert chosen[0].people[0].box == [0.0, 0.0, 0.4, 0.8]
    assert chosen[0].box == [0.6, 0.0, 0.9, 0.8]
    assert [e.person for e in chosen] == [None, 0, 0, 0]
    assert len(examples(scored, diagnose(scored, classes), classes, most=0)) == 0


def test_whom_a_box_is_beside(label_map, annotations, detections) -> None:
    """Of two people the one who does the action, though the box overlaps the other more."""
    boxes = {"walk": (0.0, 0.0, 0.4, 0.8), "talk": (0.3, 0.0, 0.7, 0.8)}
    truth = annotations([("v", 1.0, *boxes["walk"], 1, 0), ("v", 1.0, *boxes["talk"], 80, 1)])
    found = detections([("v", 1.0, 0.2, 0.0, 1.0, 1.0, 1, 0.9)])
    scored, classes = score_tables(truth, found, label_map)
    chosen = examples(scored, diagnose(scored, classes), classes)
    (wrong,) = [one for one in chosen if one.said == "walk"]
    assert (wrong.cause, wrong.people[wrong.person].actions) == ("localisation", ["walk"])
    assert wrong.overlap == pytest.approx(0.16 / 0.96)
    (lost,) = [one for one in chosen if one.said is None]
    assert (lost.cause, lost.actions, lost.overlap) == ("localisation", ["walk"], wrong.overlap)


def test_classes_that_lose_most_have_most_pictures() -> None:
    queues = [np.arange(0, 40), np.arange(40, 80), np.arange(80, 80), np.arange(80, 84)]
    order = list(_in_turns(queues, np.array([0.1, 0.8, 1.0, 0.1]), np.arange(84)))
    assert sorted(order) == list(range(84))
    assert order[:3] == [40, 0, 80]  # each class once, the one that loses most first
    share = [sum(40 <= one < 80 for one in order[:count]) for count in (12, 30)]
    assert share == [9, 24]
    assert list(_in_turns(queues, np.ones(4), np.zeros(84, int))) == [0]  # one keyframe
