"""What one figure does, second by second, and the label each doing has in AVA's label map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TypeVar

import numpy as np

Choice = TypeVar("Choice")


class Action(IntEnum):
    """The ids, in AVA's own label map, of everything that happens in the demo world."""

    FALL_DOWN = 5
    GET_UP = 6
    JUMP = 7
    LIE = 8
    RUN = 10
    SIT = 11
    STAND = 12
    WALK = 14
    CARRY = 17
    CLAP = 67
    WAVE = 69
    TALK_TO = 79
    WATCH = 80


class Arms(Enum):
    """What the arms form. Whether they move is another matter, and decides the label."""

    AT_REST = "at rest"
    CARRYING = "carrying"
    RAISED = "raised"  # moving: hand wave
    APART = "apart"  # moving: hand clap
    POINTING = "pointing"  # moving, and facing a person nearby: talk to


TRANSITIONS = (Action.FALL_DOWN, Action.GET_UP)
GAITS = (Action.WALK, Action.RUN)
ATTENTIVE = (Action.STAND, Action.SIT)  # postures in which a figure may watch another
MOVING_ARMS = {Arms.RAISED: Action.WAVE, Arms.APART: Action.CLAP}
ARMS_OF = {Action.CARRY: Arms.CARRYING, Action.WAVE: Arms.RAISED, Action.CLAP: Arms.APART}

# How often the next act is each of these. FALL_DOWN stands for fall down, lie, get up.
NEXT_POSTURE = {
    Action.STAND: 0.24,
    Action.SIT: 0.17,
    Action.WALK: 0.145,
    Action.RUN: 0.145,
    Action.JUMP: 0.10,
    Action.FALL_DOWN: 0.20,
}
# The two gaits share one table of arms: a waving figure must not betray that it walks.
NEXT_ARMS_GAIT = {
    (Arms.AT_REST, False): 0.34,
    (Arms.CARRYING, False): 0.18,
    (Arms.RAISED, True): 0.14,
    (Arms.RAISED, False): 0.10,
    (Arms.APART, True): 0.14,
    (Arms.APART, False): 0.10,
}
NEXT_ARMS_STILL = {
    (Arms.AT_REST, False): 0.05,
    (Arms.CARRYING, False): 0.12,
    (Arms.RAISED, True): 0.13,
    (Arms.RAISED, False): 0.08,
    (Arms.APART, True): 0.13,
    (Arms.APART, False): 0.08,
    (Arms.POINTING, True): 0.25,
    (Arms.POINTING, False): 0.16,
}
ARM_RATES = {Arms.RAISED: (1.7, 2.4), Arms.APART: (1.7, 2.4), Arms.POINTING: (1.3, 1.9)}
CADENCES = {Action.WALK: (0.75, 1.0), Action.RUN: (1.9, 2.5), Action.JUMP: (0.6, 0.85)}


@dataclass(frozen=True)
class Act:
    """One posture with one use of the arms, from ``first - 0.5`` to ``first + seconds - 0.5`` s.

    Rates are cycles a second, phases radians at the start of the act, angles degrees. Every number
    but ``cadence`` and ``arm_rate`` is drawn alike for both actions of an ambiguous pair.
    """

    posture: Action
    arms: Arms
    first: int
    seconds: int
    facing: int  # 1 right, -1 left; of a gait: the direction at its start
    cadence: float  # of the legs
    phase: float
    amplitude: float  # of the legs
    stride: float  # heights a cycle
    arm_rate: float  # 0: the arms are frozen at arm_phase
    arm_phase: float
    left_arm: bool  # which arm is raised or points
    backwards: bool  # which way a transition goes
    duration: float  # of a transition, seconds
    shift: float  # of the middle of a transition from that of the act, seconds

    def labels(self, faces_person: bool) -> list[Action]:
        """The actions of this act, given whether the figure faces another one nearby."""
        labels = [self.posture]
        if self.arms is Arms.CARRYING:
            labels.append(Action.CARRY)
        if self.arm_rate and self.arms in MOVING_ARMS:
            labels.append(MOVING_ARMS[self.arms])
        if faces_person and self.posture in ATTENTIVE:
            if self.arms is Arms.POINTING and self.arm_rate:
                labels.append(Action.TALK_TO)
            labels.append(Action.WATCH)
        return labels


ScriptWriter = Callable[[np.random.Generator, int, tuple[int, ...]], list[Act]]


def write_script(rng: np.random.Generator, seconds: int, neighbours: tuple[int, ...]) -> list[Act]:
    """Acts that follow each other from second 0 to at least ``seconds``.

    Acts begin half a second away from whole seconds, where the keyframes are.
    ``neighbours`` are the directions (-1, 1) in which there are other figures to turn to.
    """
    acts: list[Act] = []
    facing = int(rng.choice((-1, 1)))
    while not acts or acts[-1].first + acts[-1].seconds <= seconds:
        first = acts[-1].first + acts[-1].seconds if acts else 0
        posture = _pick(rng, NEXT_POSTURE)
        if posture is Action.FALL_DOWN:
            acts += _fall_and_get_up(rng, first, facing)
            continue
        arms, moving = _arms(rng, posture)
        facing = _facing(rng, neighbours, sociable=0.8 if arms is Arms.POINTING else 0.45)
        length = int(rng.integers(1, 4))
        acts.append(_act(rng, posture, arms, moving, first, length, facing))
    return acts


def write_single(
    action: Action, rng: np.random.Generator, seconds: int, neighbours: tuple[int, ...]
) -> list[Act]:
    """Acts that show one ``action`` over the whole of ``seconds``, from second 0 to at least that.

    A transition happens within second 1, with what comes before and after it around. What the arms
    do while they do not matter, they hold: a raised arm does not tell a wave from standing.
    """
    facing = _facing(rng, neighbours, sociable=0.5)
    backwards = bool(rng.random() < 0.5)
    parts: list[tuple[Action, Arms, bool, int]]
    if action in TRANSITIONS:
        before, after = (Action.STAND, Action.LIE)[:: 1 if action is Action.FALL_DOWN else -1]
        parts = [(before, Arms.AT_REST, False, 1), (action, Arms.AT_REST, False, 1)]
        parts.append((after, Arms.AT_REST, False, seconds))
    elif action in ARMS_OF:
        posture = _pick(rng, {Action.STAND: 0.5, Action.SIT: 0.25, Action.WALK: 0.25})
        parts = [(posture, ARMS_OF[action], action in MOVING_ARMS.values(), seconds + 1)]
    else:
        held = action in (*GAITS, *ATTENTIVE) and rng.random() < 0.5
        arms = _pick(rng, {Arms.RAISED: 0.5, Arms.APART: 0.5}) if held else Arms.AT_REST
        parts = [(action, arms, False, seconds + 1)]
    acts: list[Act] = []
    for posture, arms, moving, length in parts:
        first = acts[-1].first + acts[-1].seconds if acts else 0
        acts.append(_act(rng, posture, arms, moving, first, length, facing, backwards))
    return acts


def _arms(rng: np.random.Generator, posture: Action) -> tuple[Arms, bool]:
    if posture in GAITS:
        return _pick(rng, NEXT_ARMS_GAIT)
    return _pick(rng, NEXT_ARMS_STILL) if posture in ATTENTIVE else (Arms.AT_REST, False)


def _facing(rng: np.random.Generator, neighbours: tuple[int, ...], sociable: float) -> int:
    turns_to_someone = rng.random() < sociable and neighbours
    return int(rng.choice(neighbours if turns_to_someone else (-1, 1)))


def _fall_and_get_up(rng: np.random.Generator, first: int, facing: int) -> list[Act]:
    lying = int(rng.integers(1, 3))
    backwards = bool(rng.random() < 0.5)
    parts = ((Action.FALL_DOWN, 1), (Action.LIE, lying), (Action.GET_UP, 1))
    acts = []
    for posture, length in parts:
        acts.append(
            _act(rng, posture, Arms.AT_REST, False, first, length, facing, backwards=backwards)
        )
        first += length
    return acts


def _act(
    rng: np.random.Generator,
    posture: Action,
    arms: Arms,
    moving: bool,
    first: int,
    seconds: int,
    facing: int,
    backwards: bool = False,
) -> Act:
    duration = rng.uniform(0.5, 0.85)
    most = 0.5 - duration / 2  # a transition begins and ends within its second
    return Act(
        posture=posture,
        arms=arms,
        first=first,
        seconds=seconds,
        facing=facing,
        cadence=rng.uniform(*CADENCES.get(posture, (0.0, 0.0))),
        phase=rng.uniform(0, 2 * np.pi),
        amplitude=rng.uniform(23, 31),
        stride=rng.uniform(0.10, 0.30),
        arm_rate=rng.uniform(*ARM_RATES[arms]) if moving else 0.0,
        arm_phase=rng.uniform(0, 2 * np.pi),
        left_arm=bool(rng.random() < 0.5),
        backwards=backwards,
        duration=duration,
        shift=rng.uniform(-most, most),
    )


def _pick(rng: np.random.Generator, weights: dict[Choice, float]) -> Choice:
    choices = list(weights)
    shares = np.array(list(weights.values()))
    return choices[int(rng.choice(len(choices), p=shares / shares.sum()))]
