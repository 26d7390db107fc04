"""Geometry of axis-aligned boxes: rows of (x1, y1, x2, y2), top-left and bottom-right corner.

The frame of the coordinates (normalised or pixels of the clip) is the caller's; both boxes of a
pair must share it. Coordinates are edges, not pixel centres: no ``+ 1`` anywhere.
"""

from __future__ import annotations

import numpy as np


def area(boxes: np.ndarray) -> np.ndarray:
    """Area f[N] of boxes f[N, 4]; 0 where a side is not positive."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union f64[N, M] of boxes f[N, 4] with boxes f[M, 4].

    A pair whose union is empty (two degenerate boxes) has an IoU of 0.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    corner_1 = np.maximum(a[:, None, :2], b[None, :, :2])
    corner_2 = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(corner_2 - corner_1, 0)
    intersection = sides[..., 0] * sides[..., 1]
    union = area(a)[:, None] + area(b)[None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def clip_boxes(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """The boxes f[N, 4] cut at the borders of a ``width`` x ``height`` frame."""
    limits = np.array([width, height, width, height], boxes.dtype)
    return np.clip(boxes, 0, limits)


def scale_boxes(boxes: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """The boxes f[N, 4] with x multiplied by ``size[0]`` and y by ``size[1]`` (width, height)."""
    width, height = size
    return boxes * np.array([width, height, width, height], boxes.dtype)


def flip_boxes(boxes: np.ndarray, width: float) -> np.ndarray:
    """The boxes f[N, 4] mirrored left to right in a frame of that ``width``."""
    flipped = boxes.copy()
    flipped[:, 0] = width - boxes[:, 2]
    flipped[:, 2] = width - boxes[:, 0]
    return flipped
