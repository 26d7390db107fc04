"""A picture of what a detector says about a few keyframes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ava_detect.assemble import build_eval_label_map, build_timebase
from ava_detect.clips import ClipSource
from ava_detect.config import Config
from ava_detect.proposals.proposer import read_frame
from ava_detect.visualize.keyframe import draw_people, save_contact_sheet
from ava_eval.tables import BOX


def save_preview(
    config: Config,
    videos: ClipSource,
    detections: pd.DataFrame,
    path: Path,
    *,
    count: int = 9,
    columns: int = 3,
    min_score: float = 0.3,
) -> None:
    """Draw the people and their likeliest actions on keyframes spread over the detections.

    Without detections there is nothing to draw, and no file.
    """
    names = build_eval_label_map(config).set_index("action_id")["name"]
    if detections.empty:
        return
    by_keyframe = detections.groupby(["video_id", "timestamp"], sort=False)
    number = by_keyframe.ngroup().to_numpy()
    last = number.max()
    images = []
    for wanted in np.unique(np.linspace(0, last, min(count, last + 1)).astype(int)):
        rows = detections[number == wanted]
        video_id, timestamp = rows.iloc[0][["video_id", "timestamp"]]
        frame = read_frame(videos, build_timebase(config), video_id, timestamp)
        images.append(_picture(frame, rows, names, min_score))
    save_contact_sheet(images, path, columns)


def _picture(
    frame: np.ndarray, rows: pd.DataFrame, names: pd.Series, min_score: float
) -> np.ndarray:
    """A keyframe with each person whose best action scores enough, and up to three of those."""
    boxes, captions = [], []
    for box, person in rows.groupby(BOX, sort=False):
        likely = person[person["score"] >= min_score].nlargest(3, "score")
        if len(likely):
            boxes.append(box)
            captions.append(
                [f"{_short(names[r.action_id])} {r.score:.2f}" for r in likely.itertuples()]
            )
    height, width = frame.shape[:2]
    pixels = np.reshape(boxes, (-1, 4)) * [width, height, width, height]
    return draw_people(frame, pixels, captions)


def _short(name: str) -> str:
    """`bend/bow (at the waist)` -> `bend/bow`."""
    return name.split(" (")[0]
