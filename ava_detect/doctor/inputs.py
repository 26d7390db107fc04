"""What the doctor is given: files, and what the numbers in them mean."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ava_detect.clips import VideoLibrary
from ava_detect.timebase import Timebase


@dataclass(frozen=True)
class SplitFiles:
    """The files of a split, those of ``proposals`` only if they are there or were named.

    Attributes:
        name: train, val or test.
        annotations, labelled_boxes, keyframes, excluded, proposals: CSVs, or nothing.
        folder: where the videos are, for the reader.
        frame_list: names the images of the videos, which then lie in ``frames``.
        prepared: whether the videos are copies that ``prepare`` made.
        videos: opens them; None looks at none.
    """

    name: str
    annotations: tuple[Path, ...] = ()
    labelled_boxes: tuple[Path, ...] = ()
    keyframes: Path | None = None
    excluded: Path | None = None
    proposals: Path | None = None
    folder: str = ""
    frame_list: Path | None = None
    frames: Path = Path()
    prepared: bool = False
    videos: Callable[[], VideoLibrary] | None = None


@dataclass(frozen=True)
class Meaning:
    """What the numbers in the files mean.

    Attributes:
        timebase: of the timestamps; ``start``: of a video's first frame.
        clip: num_frames, sampling_rate.
        first_label: the smallest id in the files.
        shipped: whether the label map is one of ours, whose ids count from 1 in any case.
        skips: whether runs leave out what cannot be read (data.on_error).
        known: LabelMap of the labels that may occur; None: nobody knows.
        classes: LabelMap of the classes of the model.
        poses: ids of which a person has one.
    """

    timebase: Timebase
    start: float
    clip: tuple[int, int]
    first_label: int
    known: pd.DataFrame | None
    classes: pd.DataFrame | None
    poses: Collection[int] = ()
    shipped: bool = False
    skips: bool = False
