"""A small evaluation with every kind of error, and the videos it is of."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from ava_eval.files import write_annotations, write_detections
from ava_eval.tables import BOX
from tests.painted import write_painted

IDS = [1, 12, 14, 15, 59, 79, 80]
NAMES = [
    *("bend/bow", "stand", "walk", "answer phone", "touch | hold", "talk to (e.g., self)"),
    "watch (a person)",
]
VIDEOS = ["-a", "b_c", "d"]
START, FPS = 900.0, 4


def make_files(folder: Path, seed: int = 0) -> None:
    """Write gt.csv, det.csv, worse.csv, labels.pbtxt and videos/ whose frames are numbered."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for number in range(60):
        where = (VIDEOS[number % 3], 902.0 + number // 3)
        for person in range(1 + number % 2):
            x, y = 0.1 + 0.45 * person, 0.1 + rng.uniform(0, 0.1)
            box = (round(x, 3), round(y, 3), round(x + 0.3, 3), round(y + 0.6, 3))
            actions = rng.choice(IDS[:-1], 2, replace=False).tolist()
            truth += [(*where, *box, action, person) for action in actions]
            if rng.random() < 0.15:
                continue  # missed
            shift = 0.2 if rng.random() < 0.15 else 0.0
            moved = (box[0], round(box[1] + shift, 3), box[2], round(box[3] + shift, 3))
            for action in IDS:
                score = rng.beta(5, 2) if action in actions else rng.beta(2, 5)
                found.append((*where, *moved, action, round(float(score), 6)))
        if rng.random() < 0.1:
            found.append((*where, 0.0, 0.0, 0.05, 0.05, 12, 0.99))
    columns = ["video_id", "timestamp", *BOX, "action_id"]
    write_annotations(pd.DataFrame(truth, columns=[*columns, "person_id"]), folder / "gt.csv")
    table = pd.DataFrame(found, columns=[*columns, "score"])
    write_detections(table, folder / "det.csv")
    noise = table["score"] * rng.random(len(table))
    write_detections(table.assign(score=noise), folder / "worse.csv")
    items = [f'item {{ name: "{name}" id: {i} }}\n' for i, name in zip(IDS, NAMES, strict=True)]
    (folder / "labels.pbtxt").write_text("".join(items))
    (folder / "videos").mkdir()
    for video in VIDEOS:
        path, times = folder / "videos" / f"{video}.mp4", np.arange(88) / FPS
        first = frame_number(video, START)
        write_painted(path, times, Fraction(1, FPS), size=(96, 128), first=first)


def frame_number(video: str, timestamp: float) -> int:
    """What is painted on a frame; another number in every video."""
    return VIDEOS.index(video) * 84 + round((timestamp - START) * FPS)
