"""A picture of the person boxes of a few keyframes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ava_detect.assemble import Split, build_timebase
from ava_detect.clips import ClipSource
from ava_detect.config import Config
from ava_detect.proposals.coco_ap import Overlaps
from ava_detect.proposals.proposer import read_frame
from ava_detect.visualize.keyframe import Color, draw_people, save_contact_sheet
from ava_eval.keyframes import keyframe_codes
from ava_eval.tables import BOX

RIGHT, WRONG, MISSED, UNKNOWN = (60, 170, 80), (220, 60, 50), (235, 190, 40), (60, 130, 220)


def save_box_preview(
    config: Config,
    videos: ClipSource,
    boxes: pd.DataFrame,
    data: Split,
    keyframes: pd.DataFrame,
    path: Path,
    *,
    count: int = 9,
    columns: int = 3,
) -> None:
    """Draw boxes on some of ``keyframes``: right ones green, wrong ones red, missed people yellow.

    In a split without annotations they are blue.
    """
    if keyframes.empty:
        return
    shown = keyframes.iloc[np.unique(np.linspace(0, len(keyframes) - 1, count).astype(int))]
    drawn = _drawn(boxes, data.annotations)
    shown_number, number = keyframe_codes(shown, drawn)
    timebase, images = build_timebase(config), []
    for place, (video_id, time) in zip(
        shown_number, shown[["video_id", "timestamp"]].itertuples(index=False), strict=True
    ):
        frame = read_frame(videos, timebase, video_id, time)
        height, width = frame.shape[:2]
        rows = drawn[number == place]
        corners = rows[BOX].to_numpy(np.float64) * [width, height, width, height]
        captions = [[text] for text in rows["text"]]
        images.append(draw_people(frame, corners, captions, list(rows["color"])))
    save_contact_sheet(images, path, columns)


def _drawn(boxes: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """What is drawn: columns ``video_id timestamp x1 y1 x2 y2 text color``."""
    columns = ["video_id", "timestamp", *BOX]
    people = annotations[columns].drop_duplicates()
    keyframe, people_keyframe = keyframe_codes(boxes, people)
    person = (
        Overlaps.of(
            keyframe,
            boxes[BOX].to_numpy(np.float64),
            boxes["score"].to_numpy(np.float64),
            people_keyframe,
            people[BOX].to_numpy(np.float64),
        )
        .match(0.5)
        .person
    )
    missed = people[~np.isin(np.arange(len(people)), person)]
    colors: list[Color] = [
        UNKNOWN if annotations.empty else RIGHT if who >= 0 else WRONG for who in person
    ]
    texts = [f"{score:.2f}" for score in boxes["score"]]
    found = boxes[columns].assign(text=texts, color=pd.Series(colors, boxes.index, dtype=object))
    missed = missed.assign(text="missed", color=[MISSED] * len(missed))
    return pd.concat([missed, found] if len(missed) else [found], ignore_index=True)
