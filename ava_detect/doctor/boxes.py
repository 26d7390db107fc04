"""Boxes that cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np

from ava_detect.doctor.findings import Finding
from ava_detect.doctor.tables import Table
from ava_eval.tables import BOX

TINY = 0.001
"""Sides below, of a picture's side, are smaller than a pixel of most videos."""
SHARE = 0.2
"""So many inverted boxes of a file are no slip of the hand."""
MOST = 0.99
"""Where so many of all coordinates are at most 100, they may be percent."""


def check_boxes(table: Table) -> list[Finding]:
    """Coordinates that are no numbers, outside of the picture, inverted or tiny."""
    table = table.boxes
    boxes = table.rows[BOX].to_numpy(np.float64)
    nan = np.isnan(boxes).any(axis=1)
    outside = ((boxes < 0) | (boxes > 1)).any(axis=1) & ~nan
    side = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    empty = (side <= 0) & ~nan
    pixels = bool(len(boxes)) and float((boxes > 1).any(axis=1).mean()) > 0.5
    found = table.find("box-nan", nan, "corners are no numbers", _corners)
    if pixels:
        what = "boxes lie outside of [0, 1], and these look like pixels"
        found += table.find("box-pixels", outside, what, _corners, _percent(boxes[~nan]))
    else:
        what = "boxes reach outside of the picture, [0, 1]"
        found += table.find("box-range", outside, what, _corners)
    what = "boxes are empty or inverted, x1 >= x2 or y1 >= y2"
    sizes = _look_like_sizes(boxes[~nan], empty[~nan], 1.0 if not pixels else np.inf)
    remedy = "x2,y2 look like width and height: write x1 + width and y1 + height" if sizes else ""
    found += table.find("box-empty", empty, what, _corners, remedy)
    tiny = (side > 0) & (side < TINY) & ~outside
    found += table.find("box-tiny", tiny, f"boxes have a side below {TINY}", _corners)
    return found


def _look_like_sizes(boxes: np.ndarray, empty: np.ndarray, largest: float) -> bool:
    """Whether the last two columns could be width and height: many inverted, all sums inside."""
    if not len(boxes) or empty.mean() < SHARE:
        return False
    sizes, ends = boxes[:, 2:], boxes[:, :2] + boxes[:, 2:]
    return bool((sizes > 0).all() and (ends <= largest + 0.005).all())


def _percent(boxes: np.ndarray) -> str:
    """What to do about boxes that may be percent as well as pixels; '' if they are not."""
    if float((boxes <= 100).mean()) < MOST:
        return ""
    return (
        "divide by 100 if these are percent, else x by the width and y by the height of the picture"
    )


def _corners(row: Any) -> str:
    return f"{row.x1:g},{row.y1:g},{row.x2:g},{row.y2:g}"
