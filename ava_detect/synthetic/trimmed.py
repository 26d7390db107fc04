"""The demo world's Kinetics: short videos of one action each, and lists of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ava_detect.synthetic.names import video_id
from ava_detect.synthetic.scene import HEIGHT, WIDTH, Scene
from ava_detect.synthetic.script import Action, write_single
from ava_detect.synthetic.video import write_video
from ava_eval.atomic import atomic_path

SECONDS = 2
FOLDER = "kinetics"
CLASSES = (
    *(Action.FALL_DOWN, Action.GET_UP, Action.JUMP, Action.LIE, Action.RUN, Action.SIT),
    *(Action.STAND, Action.WALK, Action.CARRY, Action.CLAP, Action.WAVE),
)
"""Those that one figure can show alone."""
SPLITS = ("train", "val")


@dataclass(frozen=True)
class TrimmedPlan:
    """One video to make. It depends on seed, split and index, on no other video."""

    seed: int
    split: str
    index: int
    fps: int

    @property
    def action(self) -> Action:
        return CLASSES[self.index % len(CLASSES)]

    def random(self, purpose: int) -> np.random.Generator:
        """A stream of random numbers of this video's own; others than those of the long videos."""
        return np.random.default_rng(
            [self.seed, 10 + SPLITS.index(self.split), self.index, purpose]
        )

    @property
    def youtube_id(self) -> str:
        return video_id(self.random(1), self.index)

    @property
    def name(self) -> str:
        """As Kinetics' segments are called."""
        return f"{self.youtube_id}_{0:06d}_{SECONDS:06d}"


def make_trimmed(folder: Path, plan: TrimmedPlan) -> None:
    """Write one video into ``folder``: one or two figures that do the same."""
    rng = plan.random(2)
    cast = 1 + int(rng.random() < 0.3)
    write = partial(write_single, plan.action)
    scene = Scene.draw(rng, SECONDS, plan.fps, cast, write=write)
    images = (scene.render(frame) for frame in range(SECONDS * plan.fps))
    with atomic_path(folder / f"{plan.name}.mp4") as temporary:
        write_video(temporary, images, (WIDTH, HEIGHT), plan.fps)


def write_lists(folder: Path, plans: Sequence[TrimmedPlan], label_map: pd.DataFrame) -> None:
    """Write ``kinetics_{train,val}.csv``, in the form of Kinetics' own."""
    names = label_map.set_index("action_id")["name"]
    for split in SPLITS:
        with (
            atomic_path(folder / f"kinetics_{split}.csv") as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["label", "youtube_id", "time_start", "time_end", "split"])
            for plan in plans:
                if plan.split == split:
                    label = names[plan.action.value]
                    rows.writerow([label, plan.youtube_id, 0, SECONDS, split])
