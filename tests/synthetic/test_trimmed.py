"""One action from end to end, and nothing else that would betray it."""

from __future__ import annotations

import numpy as np
import pytest

from ava_detect.synthetic.script import GAITS, TRANSITIONS, Action, write_single
from ava_detect.synthetic.trimmed import CLASSES, SECONDS


@pytest.mark.parametrize("action", CLASSES, ids=lambda action: action.name)
def test_the_action_is_there_and_no_other_that_has_a_class(action):
    for seed in range(40):
        acts = write_single(action, np.random.default_rng(seed), SECONDS, ())
        assert acts[0].first == 0
        assert acts[-1].first + acts[-1].seconds > SECONDS
        shown = {label for act in acts for label in act.labels(False)}
        assert action in shown
        if action in TRANSITIONS:
            assert [act.posture for act in acts if act.first == 1] == [action]
        elif action in (Action.CARRY, Action.CLAP, Action.WAVE):
            assert shown - {Action.STAND, Action.SIT, Action.WALK} == {action}
        else:
            assert shown == {action}


def test_arms_are_held_where_they_do_not_matter():
    """So that raised arms alone are no wave."""
    arms = [
        write_single(action, np.random.default_rng(seed), SECONDS, ())[0].arms
        for action in (*GAITS, Action.STAND, Action.SIT)
        for seed in range(20)
    ]
    assert len(set(arms)) == 3
