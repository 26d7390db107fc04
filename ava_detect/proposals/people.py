"""What a person detector learns from: the distinct people of each annotated keyframe."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ava_eval.keyframes import keyframe_codes
from ava_eval.tables import BOX, KEYFRAME_COLUMNS


@dataclass(frozen=True)
class PeopleOfKeyframe:
    """A keyframe and the boxes f32[N,4] (normalised xyxy) of its people."""

    video_id: str
    timestamp: float
    boxes: np.ndarray


def people_of_keyframes(annotations: pd.DataFrame) -> list[PeopleOfKeyframe]:
    """Gather each keyframe's distinct boxes, whatever their actions; boxes without area are left.

    Keyframes are in the order of their first row. A keyframe with nobody has no rows, so it is not
    among them: AVA does not tell whether it is empty or was not annotated.
    """
    rows = annotations.drop_duplicates([*KEYFRAME_COLUMNS, *BOX])
    rows = rows[(rows["x2"] > rows["x1"]) & (rows["y2"] > rows["y1"])]
    code = keyframe_codes(rows)[0]  # dense, in order of first appearance
    order = np.argsort(code, kind="stable")
    boxes = rows[BOX].to_numpy(np.float32)[order]
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    ends = np.append(starts[1:], len(boxes))[: len(starts)]
    keyframes = rows[KEYFRAME_COLUMNS].iloc[order[starts]].itertuples(index=False)
    return [
        PeopleOfKeyframe(video_id, float(timestamp), boxes[start:end])
        for (video_id, timestamp), start, end in zip(keyframes, starts, ends, strict=True)
    ]


def people_digest(samples: Iterable[PeopleOfKeyframe]) -> str:
    """SHA-256 of keyframes and their boxes, in this order."""
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(f"{sample.video_id},{sample.timestamp!r},{len(sample.boxes)}\n".encode())
        digest.update(np.ascontiguousarray(sample.boxes, "<f4").tobytes())
    return digest.hexdigest()
