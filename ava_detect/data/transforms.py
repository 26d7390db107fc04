"""Resize, crop, mirror and recolour the frames of a clip; its boxes move with the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from ava_detect.boxes import area, clip_boxes, flip_boxes, scale_boxes


@dataclass(frozen=True, eq=False)
class View:
    """What the model sees of a clip: the same part of every frame, changed in the same way.

    Attributes:
        part: (top, bottom, left, right), the pixels of the frame that are seen.
        size: (width, height) in pixels that they are resized to.
        boxes: f32[M, 4], x1 y1 x2 y2 in pixels of the resized part.
        kept: i64[M], which of the clip's people these are.
        mirrored: left to right, after resizing.
        colors: u8[256, 3], the new value of each value of red, green and blue; None: no change.
    """

    part: tuple[int, int, int, int]
    size: tuple[int, int]
    boxes: np.ndarray
    kept: np.ndarray
    mirrored: bool = False
    colors: np.ndarray | None = None

    def show(self, frame: np.ndarray, target: np.ndarray) -> None:
        """Write what is seen of ``frame`` u8[H, W, 3] into ``target`` u8[h, w, 3]."""
        top, bottom, left, right = self.part
        seen = frame[top:bottom, left:right]
        if seen.shape == target.shape:
            target[:] = seen
        else:
            cv2.resize(seen, self.size, dst=target, interpolation=cv2.INTER_LINEAR)
        if self.mirrored:
            cv2.flip(target, 1, dst=target)
        if self.colors is not None:
            cv2.LUT(target, self.colors[None], dst=target)


class Transform(Protocol):
    """Decides what the model sees of a clip."""

    def __call__(self, size: tuple[int, int], boxes: np.ndarray, rng: np.random.Generator) -> View:
        """The view of a clip whose frames have ``size`` (width, height) pixels.

        ``boxes`` f32[N, 4] are normalised, and left as they were.
        """
        ...


@dataclass(frozen=True)
class EvalTransform:
    """The whole frame, its short side resized to ``short_side`` pixels (None: as it is).

    Every box is kept, cut at the borders of the frame: each one must get its scores.
    """

    short_side: int | None = 256

    def __call__(
        self, size: tuple[int, int], boxes: np.ndarray, rng: np.random.Generator | None = None
    ) -> View:
        """See ``Transform``; nothing is random here."""
        resized = _sized(size, self.short_side)
        return View(
            part=(0, size[1], 0, size[0]),
            size=resized,
            boxes=clip_boxes(scale_boxes(boxes, resized), *resized),
            kept=np.arange(len(boxes)),
        )


@dataclass(frozen=True)
class TrainTransform:
    """A random part of the frame: jittered boxes, resize, crop, mirror, colour.

    Attributes:
        short_side: the range, both ends included, of the frame's short side in pixels before the
            crop (None: as it is). A frame smaller than the crop is enlarged until it covers it.
        crop: (height, width) in pixels of the result.
        flip: probability of a mirrored clip.
        color: strength of the change of contrast, brightness and of each channel's gain.
        box_jitter: each edge of a box moves by up to this part of the box's width or height.
        min_visible: a person of whom a smaller part is left by the crop leaves the sample, as
            does one of at most a pixel.
    """

    short_side: tuple[int, int] | None = (256, 320)
    crop: tuple[int, int] = (224, 224)
    flip: float = 0.5
    color: float = 0.0
    box_jitter: float = 0.0
    min_visible: float = 0.25

    def __call__(self, size: tuple[int, int], boxes: np.ndarray, rng: np.random.Generator) -> View:
        """See ``Transform``."""
        boxes = clip_boxes(_jitter(boxes, self.box_jitter, rng), 1, 1)
        width, height = size
        resized_width, resized_height = self._size_before_crop(size, rng)
        crop_height, crop_width = self.crop
        first_row = int(rng.integers(resized_height - crop_height + 1))
        first_column = int(rng.integers(resized_width - crop_width + 1))
        # In whole pixels of the frame, so that only what is seen is resized.
        top, bottom = _seen(first_row, crop_height, height / resized_height)
        left, right = _seen(first_column, crop_width, width / resized_width)
        boxes = scale_boxes(boxes, size) - np.array([left, top, left, top], boxes.dtype)
        boxes = scale_boxes(boxes, (crop_width / (right - left), crop_height / (bottom - top)))
        whole = area(boxes)
        boxes = clip_boxes(boxes, crop_width, crop_height)
        visible = area(boxes)
        kept = np.flatnonzero((visible > 1) & (visible >= self.min_visible * whole))
        boxes = boxes[kept]
        mirrored = rng.random() < self.flip
        return View(
            part=(top, bottom, left, right),
            size=(crop_width, crop_height),
            boxes=flip_boxes(boxes, crop_width) if mirrored else boxes,
            kept=kept,
            mirrored=mirrored,
            colors=_colors(self.color, rng) if self.color > 0 else None,
        )

    def _size_before_crop(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
        """(width, height) that covers the crop."""
        short_side = None
        if self.short_side is not None:
            low, high = self.short_side
            short_side = int(rng.integers(low, high + 1))
        width, height = _sized(size, short_side)
        enlarge = max(1.0, self.crop[0] / height, self.crop[1] / width)
        return (
            max(self.crop[1], round(width * enlarge)),
            max(self.crop[0], round(height * enlarge)),
        )


def _sized(size: tuple[int, int], short_side: int | None) -> tuple[int, int]:
    """(width, height) of a frame with that short side; the long one is rounded down, as in
    PySlowFast, so that results compare."""
    width, height = size
    if short_side is None:
        return width, height
    if width < height:
        return short_side, height * short_side // width
    return width * short_side // height, short_side


def _seen(first: int, count: int, scale: float) -> tuple[int, int]:
    """The pixels of a frame, from one to before another, that a crop of its resized copy shows.

    The crop begins at pixel ``first`` of the copy and has ``count``; ``scale`` is that of the
    frame to the copy.
    """
    begin = round(first * scale)
    return begin, max(begin + 1, round((first + count) * scale))


def _jitter(boxes: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return boxes + sides * rng.uniform(-strength, strength, boxes.shape).astype(boxes.dtype)


def _colors(strength: float, rng: np.random.Generator) -> np.ndarray:
    """Contrast, brightness and a gain per channel as one look-up table u8[256, 3]."""
    contrast = rng.uniform(1 - strength, 1 + strength)
    brightness = 127.5 * rng.uniform(-strength, strength)
    gains = rng.uniform(1 - strength, 1 + strength, 3)
    values = (np.arange(256.0) - 127.5) * contrast + 127.5 + brightness
    return np.clip(np.rint(values[:, None] * gains), 0, 255).astype(np.uint8)
