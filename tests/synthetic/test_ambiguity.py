"""One frame must not betray what only motion tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import ks_2samp

from ava_detect.synthetic.camera import Camera
from ava_detect.synthetic.figure import Figure, Look
from ava_detect.synthetic.motion import act_angles, perform
from ava_detect.synthetic.script import Act, Action, Arms, write_script

FPS = 15
SAME = 0.07  # two samples as large as these are rarely so far apart by chance (Kolmogorov-Smirnov)
WALK = Act(
    posture=Action.WALK,
    arms=Arms.AT_REST,
    first=0,
    seconds=2,
    facing=1,
    cadence=0.8,
    phase=0.0,
    amplitude=27.0,
    stride=0.0,
    arm_rate=0.0,
    arm_phase=0.0,
    left_arm=True,
    backwards=False,
    duration=0.7,
    shift=0.1,
)
FALL = replace(WALK, posture=Action.FALL_DOWN, first=1, seconds=1)


def walking(act: Act) -> bool:
    return act.posture is Action.WALK


def running(act: Act) -> bool:
    return act.posture is Action.RUN


def arms(form: Arms, moving: bool) -> Callable[[Act], bool]:
    return lambda act: act.arms is form and bool(act.arm_rate) == moving


PAIRS = {
    "fall down, get up": (
        lambda act: act.posture is Action.FALL_DOWN,
        lambda act: act.posture is Action.GET_UP,
    ),
    "walk, run": (walking, running),
    "wave, raised arm": (arms(Arms.RAISED, True), arms(Arms.RAISED, False)),
    "clap, hands apart": (arms(Arms.APART, True), arms(Arms.APART, False)),
    "talk, point": (arms(Arms.POINTING, True), arms(Arms.POINTING, False)),
}


@pytest.fixture(scope="module")
def acts() -> list[Act]:
    rng = np.random.default_rng(7)
    return [act for _ in range(1000) for act in write_script(rng, 30, (-1, 1))]


def first_keyframe(act: Act) -> np.ndarray:
    return act_angles(act, np.array([0.5]))[0]


@pytest.mark.parametrize("pair", PAIRS)
def test_poses_of_keyframes_are_distributed_alike(pair: str, acts: list[Act]) -> None:
    one, other = (np.array([first_keyframe(a) for a in acts if of(a)]) for of in PAIRS[pair])
    assert min(len(one), len(other)) > 500
    for column in range(one.shape[1]):
        assert ks_2samp(one[:, column], other[:, column]).statistic < SAME


def test_walk_and_run_use_their_arms_alike(acts: list[Act]) -> None:
    def shares(of: Callable[[Act], bool]) -> np.ndarray:
        chosen = [act for act in acts if of(act)]
        return np.array([sum(act.arms is form for act in chosen) / len(chosen) for form in Arms])

    np.testing.assert_allclose(shares(walking), shares(running), atol=0.03)


@pytest.mark.parametrize("pair", PAIRS)
def test_length_and_facing_tell_nothing(pair: str, acts: list[Act]) -> None:
    one, other = ([act for act in acts if of(act)] for of in PAIRS[pair])
    for quantity in ("seconds", "facing", "left_arm", "backwards", "stride", "amplitude"):
        values = ([float(getattr(act, quantity)) for act in chosen] for chosen in (one, other))
        assert ks_2samp(*values).statistic < SAME


# Two acts that show the same pose at second 1, which is 1.5 s after the start of the first.
SAME_FRAME = {
    "walk, run": (
        replace(WALK, phase=1.0 - 2 * np.pi * 0.8 * 1.5),
        replace(WALK, posture=Action.RUN, cadence=2.2, phase=1.0 - 2 * np.pi * 2.2 * 1.5),
    ),
    "fall down, get up": (FALL, replace(FALL, posture=Action.GET_UP, shift=-FALL.shift)),
    **{
        f"{form.value}, moving or not": (
            replace(
                WALK,
                posture=Action.STAND,
                arms=form,
                arm_rate=1.9,
                arm_phase=2.0 - 2 * np.pi * 1.9 * 1.5,
            ),
            replace(WALK, posture=Action.STAND, arms=form, arm_phase=2.0),
        )
        for form in (Arms.RAISED, Arms.APART, Arms.POINTING)
    },
}


@pytest.mark.parametrize("pair", SAME_FRAME)
def test_the_same_picture_may_have_either_label(pair: str) -> None:
    one, other = SAME_FRAME[pair]
    assert one.labels(faces_person=True) != other.labels(faces_person=True)
    first, second = film(one), film(other)
    np.testing.assert_array_equal(first[FPS], second[FPS])
    moved = np.abs(first.astype(int) - second).max(axis=(1, 2, 3))
    assert (moved[FPS - 7 : FPS + 8] > 50).sum() >= 10


def film(act: Act) -> np.ndarray:
    """u8[30, 120, 160, 3] of one figure that does nothing else."""
    frames = 2 * FPS
    camera = Camera(np.ones(frames), np.zeros((frames, 2)), (80.0, 60.0))
    look = Look.draw(np.random.default_rng(0))
    motion = perform([act], frames, FPS, 80.0, (40.0, 120.0), 80.0)
    figure = Figure.stage(look, motion, np.full(frames, 80.0), 110.0, camera)
    images = np.zeros((frames, 120, 160, 3), np.uint8)
    for frame in range(FPS - 7, FPS + 8):
        figure.paint(images[frame], frame, act)
    return images


def test_a_fall_is_a_rise_reversed_in_time() -> None:
    since = np.arange(0, 1.01, 0.1)
    rise = replace(FALL, posture=Action.GET_UP, shift=-FALL.shift)
    np.testing.assert_allclose(act_angles(FALL, since), act_angles(rise, 1 - since), atol=1e-9)


def test_keyframes_show_any_phase_of_a_transition(acts: list[Act]) -> None:
    for posture in (Action.FALL_DOWN, Action.GET_UP):
        lean = [abs(first_keyframe(act)[0]) for act in acts if act.posture is posture]
        assert np.percentile(lean, 5) < 15
        assert np.percentile(lean, 95) > 60


def test_acts_follow_each_other_half_a_second_from_keyframes(acts: list[Act]) -> None:
    script = write_script(np.random.default_rng(1), 30, ())
    motion = perform(script, 30 * FPS, FPS, 80.0, (40.0, 120.0), 80.0)
    assert script[0].first == 0
    assert all(b.first == a.first + a.seconds for a, b in pairwise(script))
    for second in range(1, 30):
        act = motion.act_at(second)
        frames = np.arange(second * FPS - 6, second * FPS + 7)
        expected = act_angles(act, frames / FPS - act.first + 0.5)
        np.testing.assert_array_equal(motion.angles[frames], expected)
