"""A world of bright rectangles on a dark noise: people, as far as a detector is concerned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch

from ava_detect.proposals.detectron import train_detectron
from ava_detect.proposals.people import PeopleOfKeyframe, people_of_keyframes
from ava_detect.proposals.training import Fitting
from ava_detect.timebase import Timebase

WIDTH, HEIGHT = 160, 120
TIMEBASE = Timebase(fps=30.0)
START = 900.0


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Tiny images: threads only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def detectron2():
    return pytest.importorskip("detectron2.model_zoo")


@pytest.fixture(scope="session")
def small(detectron2, world, tmp_path_factory):
    """Weights of detectron2's small detector after a few seconds on rectangles; its loss curve."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("weights") / "small.pt"
    losses = train_detectron(
        "small", world.samples, world.source, world.timebase, path,
        Fitting(steps=80, batch_size=4, lr=3e-3),
    )  # fmt: skip
    torch.set_num_threads(threads)
    return path, losses


class StillFrames:
    """A ClipSource that shows one frame a second; it notes what was asked of it."""

    def __init__(self, frames: dict[str, np.ndarray]) -> None:
        self.frames = frames
        self.asked: list[tuple[str, float]] = []

    def has(self, video_id: str) -> bool:
        return video_id in self.frames

    def frame_times(self, video_id: str) -> np.ndarray:
        return START + np.arange(len(self.frames[video_id]))

    def read(self, video_id: str, frames: np.ndarray) -> np.ndarray:
        self.asked += [(video_id, float(number)) for number in frames]
        return self.frames[video_id][frames]

    def walk(self, video_id: str, frames: np.ndarray) -> Iterator[np.ndarray]:
        return iter(self.read(video_id, frames))


@dataclass(frozen=True)
class World:
    source: StillFrames
    annotations: pd.DataFrame
    timebase: Timebase

    @property
    def samples(self) -> list[PeopleOfKeyframe]:
        return people_of_keyframes(self.annotations)


@pytest.fixture(scope="session")
def world() -> World:
    """Forty keyframes of two videos, one or two people each; a person has two actions."""
    rng = np.random.default_rng(0)
    size = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT])
    frames, rows = {}, []
    for video_id in ("-a", "_b"):
        video = rng.integers(0, 60, (20, HEIGHT, WIDTH, 3), dtype=np.uint8)
        for second in range(20):
            for person in range(1 + second % 2):
                x, y = rng.integers(5, 40) + 80 * person, rng.integers(5, 45)
                box = np.array([x, y, x + rng.integers(20, 36), y + rng.integers(45, 70)])
                video[second, box[1] : box[3], box[0] : box[2]] = [230, 200, 90]
                for action in (11, 12):
                    rows.append((video_id, 900.0 + second, *(box / size), action, person))
        frames[video_id] = video
    names = ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action_id", "person_id"]
    return World(StillFrames(frames), pd.DataFrame(rows, columns=names), TIMEBASE)
