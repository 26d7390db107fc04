"""The window over a running video: every frame once, clips as the timebase says, bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from ava_detect.inference.annotate import Annotator, ClipRule, Eyes
from ava_detect.inference.tracks import Tracker
from ava_detect.timebase import Timebase

T, RATE, FPS = 8, 2, 20.0
TIMEBASE = Timebase(fps=FPS)
RULE = ClipRule(
    before=T // 2 * RATE / FPS,
    after=(T - 1 - T // 2) * RATE / FPS,
    numbers=lambda time, times: TIMEBASE.clip_frames(time, times, T, RATE),
)


@dataclass
class Counted:
    """A frame that knows when it was looked at."""

    time: float
    number: int

    def pixels(self) -> np.ndarray:
        return np.full((4, 6, 3), self.number % 251, np.uint8)


class World:
    """One person who walks to the right; keeps the clips that were scored."""

    def __init__(self, **choices: object) -> None:
        self.clips: list[list[int]] = []
        self.found: list[int] = []
        self.tracker = Tracker(hold=0.25)
        eyes = Eyes(self.find, lambda picture: picture[:1, :1], self.score)
        self.annotator: Annotator[Counted] = Annotator(eyes, RULE, self.tracker, **choices)

    def find(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.found.append(int(picture[0, 0, 0]))
        x = picture[0, 0, 0] / 500
        return np.array([[x, 0.2, x + 0.2, 0.8]]), np.array([0.9])

    def score(self, clip: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        assert clip.shape == (T, 1, 1, 3)
        self.clips.append(clip[:, 0, 0, 0].tolist())
        return np.full((len(boxes), 3), 0.5, np.float32)

    def run(self, times: np.ndarray, batch: int = 1) -> list:
        shots = [Counted(float(time), number) for number, time in enumerate(times)]
        drawn = []
        for start in range(0, len(shots), batch):
            drawn += list(self.annotator.feed(shots[start : start + batch]))
        return drawn + list(self.annotator.finish())


@pytest.mark.parametrize("count", [1, 2, 7, 10, 11, 100])
def test_every_frame_is_drawn_once_with_its_person(count: int) -> None:
    world = World(every=0.5)
    times = np.arange(count) / FPS
    drawn = world.run(times)
    assert [a.shot.number for a in drawn] == list(range(count))
    for a in drawn:
        assert a.pixels[0, 0, 0] == a.shot.number
        (person,) = a.people
        assert person.track == 1
    expected = [0.002 * a.shot.number for a in drawn if a.shot.number <= max(world.found)]
    np.testing.assert_allclose([a.people[0].box[0] for a in drawn][: len(expected)], expected)


@pytest.mark.parametrize("irregular", [False, True])
def test_clips_are_those_of_the_timebase_over_the_whole_video(irregular: bool) -> None:
    times = np.arange(120) / FPS
    if irregular:
        times = np.cumsum(np.random.default_rng(0).uniform(0.005, 0.2, 120))
        times -= times[0]
    world = World(every=0.5)
    world.run(times)
    assert len(world.clips) == len(world.found)
    for keyframe, clip in zip(world.found, world.clips, strict=True):
        expected = TIMEBASE.clip_frames(times[keyframe], times, T, RATE)
        assert clip == expected.tolist()
    gaps = np.diff(times[world.found])
    assert (gaps[:-1] >= 0.5 - 1e-9).all()


def test_memory_is_a_window() -> None:
    world = World(every=0.5)
    shots = (Counted(number / FPS, number) for number in range(4000))
    drawn = 0
    for shot in shots:
        drawn += sum(1 for _ in world.annotator.feed([shot]))
        world.tracker.release(shot.time)
    drawn += sum(1 for _ in world.annotator.finish())
    assert drawn == 4000
    reach = RULE.before + RULE.after + 2 * 0.5
    assert world.annotator.most_held <= reach * FPS + 3


def test_a_camera_that_is_faster_than_the_model_skips_keyframes_and_no_frames() -> None:
    world = World(every=0.5, latest=True)
    drawn = world.run(np.arange(200) / FPS, batch=40)
    assert [a.shot.number for a in drawn] == list(range(200))
    assert len(world.found) == 6  # one a batch, and the last frame
    for keyframe, clip in zip(world.found, world.clips, strict=True):
        assert clip == TIMEBASE.clip_frames(keyframe / FPS, np.arange(200) / FPS, T, RATE).tolist()


def test_nobody_is_scored_where_nobody_is_found() -> None:
    world = World()
    nobody = np.empty((0, 4)), np.empty(0)
    eyes = Eyes(lambda picture: nobody, lambda picture: picture[:1, :1], world.score)
    annotator: Annotator[Counted] = Annotator(eyes, RULE, world.tracker)
    shots = [Counted(number / FPS, number) for number in range(50)]
    drawn = [*annotator.feed(shots), *annotator.finish()]
    assert len(drawn) == 50
    assert not any(a.people for a in drawn)
    assert world.clips == []


def test_no_frames_are_no_error() -> None:
    assert list(World().annotator.finish()) == []
