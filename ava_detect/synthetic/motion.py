"""Scripts turned into joint angles and positions, frame by frame.

Each posture is a function of a phase alone; time only moves the phase. So walk and run, fall down
and get up, moving and frozen arms look alike in any single frame and differ in nothing but the
speed or the direction in which the same poses follow each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ava_detect.synthetic.script import GAITS, TRANSITIONS, Act, Action, Arms

# Degrees, counted forwards from hanging straight down (the torso: from standing straight up);
# knees bend backwards, elbows forwards. The last one is a height above the ground, in body heights.
ANGLES = (
    "torso",
    "left_thigh",
    "left_knee",
    "right_thigh",
    "right_knee",
    "left_shoulder",
    "left_elbow",
    "right_shoulder",
    "right_elbow",
    "hop",
)
BRIDGE = 0.13  # seconds in which a figure changes from one act to the next

Angles = dict[str, np.ndarray]


@dataclass(frozen=True)
class Motion:
    """One figure's way through a video of T frames."""

    script: list[Act]
    angles: np.ndarray  # f64[T, 10], in the order of ANGLES
    x: np.ndarray  # f64[T], the hip, pixels of the scene
    facing: np.ndarray  # f64[T], 1 right, -1 left

    def act_at(self, second: int) -> Act:
        """The act that surrounds a whole second."""
        return next(a for a in self.script if a.first <= second < a.first + a.seconds)


def perform(
    script: list[Act], frames: int, fps: int, height: float, lane: tuple[float, float], home: float
) -> Motion:
    """Act out a script. A walking figure stays in its ``lane`` (pixels) and turns at its ends."""
    angles = np.zeros((frames, len(ANGLES)))
    x = np.zeros(frames)
    facing = np.zeros(frames)
    here = home
    for act in script:
        begin = _first_frame(act.first, fps)
        end = min(_first_frame(act.first + act.seconds, fps), frames)
        if begin >= end:
            break
        since = np.arange(begin, end) / fps - (act.first - 0.5)  # seconds into the act
        angles[begin:end] = act_angles(act, since)
        x[begin:end], facing[begin:end] = _path(act, since, height, lane, here)
        here = x[end - 1]
        _bridge(angles, begin, fps)
    return Motion(script, angles, x, facing)


def act_angles(act: Act, since: np.ndarray) -> np.ndarray:
    """Angles f64[n, 10] at ``since`` seconds after the start of an act."""
    phase = act.phase + 2 * np.pi * act.cadence * since
    if act.posture in GAITS:
        pose = gait(phase, act.amplitude)
    elif act.posture in TRANSITIONS or act.posture is Action.LIE:
        pose = collapse(_progress(act, since), act.backwards)
    elif act.posture is Action.SIT:
        pose = standing(len(since)) | seat(len(since))
    elif act.posture is Action.JUMP:
        pose = hop(phase)
    else:
        pose = standing(len(since))
    pose |= arms(act.arms, act.arm_phase + 2 * np.pi * act.arm_rate * since, act.left_arm)
    return np.stack([pose[name] for name in ANGLES], 1)


def standing(count: int) -> Angles:
    """Upright with hanging arms."""
    degrees = dict.fromkeys(ANGLES, 0.0)
    degrees |= {"left_thigh": 5, "right_thigh": -5, "left_shoulder": 6, "right_shoulder": -6}
    degrees |= {"left_elbow": 8, "right_elbow": 8}
    return {name: np.full(count, float(value)) for name, value in degrees.items()}


def seat(count: int) -> Angles:
    """The legs and back of a seated figure."""
    degrees = {"torso": -3, "left_thigh": 88, "right_thigh": 78, "left_knee": 88, "right_knee": 82}
    return {name: np.full(count, float(value)) for name, value in degrees.items()}


def gait(phase: np.ndarray, amplitude: float) -> Angles:
    """Legs and arms that swing: walking or running, as fast as the phase advances."""
    swing, lift = amplitude * np.sin(phase), np.cos(phase)
    return standing(len(phase)) | {
        "torso": np.full(len(phase), 5.0),
        "left_thigh": swing,
        "right_thigh": -swing,
        "left_knee": 8 + 36 * np.maximum(0, lift),
        "right_knee": 8 + 36 * np.maximum(0, -lift),
        "left_shoulder": -swing,
        "right_shoulder": swing,
        "left_elbow": np.full(len(phase), 30.0),
        "right_elbow": np.full(len(phase), 30.0),
    }


def hop(phase: np.ndarray) -> Angles:
    """Jumps on the spot, two a cycle; the knees give on the ground."""
    up = np.abs(np.sin(phase))
    bend = 30 * (1 - up)
    return standing(len(phase)) | {
        "left_thigh": bend * 0.6 + 5,
        "right_thigh": bend * 0.6 - 5,
        "left_knee": bend,
        "right_knee": bend,
        "hop": 0.26 * up,
    }


def collapse(progress: np.ndarray, backwards: bool) -> Angles:
    """Between standing (progress 0) and lying flat (1): down in one direction, up in the other."""
    lean = 90 * progress * (-1 if backwards else 1)
    bend = np.sin(np.pi * progress)
    return {
        "torso": lean,
        "left_thigh": -lean + 5 * (1 - progress) + 25 * bend,
        "right_thigh": -lean - 5 * (1 - progress) + 10 * bend,
        "left_knee": 40 * bend,
        "right_knee": 25 * bend,
        "left_shoulder": 6 + 60 * bend,
        "right_shoulder": -6 + 40 * bend,
        "left_elbow": 8 * (1 - progress),
        "right_elbow": 8 * (1 - progress),
        "hop": np.zeros(len(progress)),
    }


def arms(form: Arms, phase: np.ndarray, left: bool) -> Angles:
    """What the arms form at a phase; empty when they hang or swing with the legs."""
    near, far = ("left", "right") if left else ("right", "left")
    swing = np.sin(phase)
    if form is Arms.RAISED:
        return {f"{near}_shoulder": 145 + 14 * swing, f"{near}_elbow": 25 + 58 * swing}
    if form is Arms.POINTING:
        return {f"{near}_shoulder": 45 + 22 * swing, f"{near}_elbow": 45 + 42 * swing}
    if form is Arms.APART:
        gap = 0.5 - 0.5 * np.cos(phase)  # 0: the hands touch
        bend = np.full(len(phase), 22.0)
        return {
            f"{near}_shoulder": 62 + 56 * gap,
            f"{far}_shoulder": 62 - 56 * gap,
            f"{near}_elbow": bend,
            f"{far}_elbow": bend,
        }
    if form is Arms.CARRYING:
        shoulder, elbow = np.full(len(phase), 25.0), np.full(len(phase), 65.0)
        return {
            "left_shoulder": shoulder,
            "right_shoulder": shoulder,
            "left_elbow": elbow,
            "right_elbow": elbow,
        }
    return {}


def _progress(act: Act, since: np.ndarray) -> np.ndarray:
    """How far down a figure is: 0 standing, 1 lying."""
    if act.posture is Action.LIE:
        return np.ones(len(since))
    done = np.clip((since - act.seconds / 2 - act.shift) / act.duration + 0.5, 0, 1)
    return (done if act.posture is Action.FALL_DOWN else 1 - done) ** 1.5


def _path(
    act: Act, since: np.ndarray, height: float, lane: tuple[float, float], here: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions and directions; a gait goes to and fro between the ends of the lane."""
    low, high = lane
    room = high - low
    if act.posture not in GAITS or room < 1:
        return np.full(len(since), here), np.full(len(since), float(act.facing))
    stride = act.stride * min(1.0, room / 60)  # short steps in a narrow lane: fewer turns
    way = act.facing * stride * act.cadence * height * since
    unfolded = (here - low + way) % (2 * room)
    back = unfolded > room
    x = low + np.where(back, 2 * room - unfolded, unfolded)
    return x, act.facing * np.where(back, -1.0, 1.0)


def _bridge(angles: np.ndarray, begin: int, fps: int) -> None:
    """Lead from the act before frame ``begin`` to the next in a few frames, far from keyframes."""
    half = max(1, round(BRIDGE * fps / 2))
    low, high = begin - half - 1, begin + half
    if low < 0 or high >= len(angles):
        return
    share = np.linspace(0, 1, high - low + 1)[:, None]
    angles[low : high + 1] = (1 - share) * angles[low] + share * angles[high]


def _first_frame(second: int, fps: int) -> int:
    return max(0, int(np.ceil((second - 0.5) * fps)))
