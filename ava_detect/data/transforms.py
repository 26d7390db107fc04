"""Resize, crop, mirror and recolour a clip; its boxes move with the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from ava_detect.boxes import area, clip_boxes, flip_boxes, scale_boxes


class Transform(Protocol):
    """Turns a clip and its normalised boxes into the clip that the model sees.

    Takes ``clip`` u8[T, H, W, 3], ``boxes`` f32[N, 4] normalised and a random generator; returns
    a clip u8[T, h, w, 3], boxes f32[M, 4] in its pixels, and i64[M], which of the N boxes they
    are. The inputs are left as they were.
    """

    def __call__(
        self, clip: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class EvalTransform:
    """The whole frame, its short side resized to ``short_side`` pixels (None: as it is).

    Every box is kept, cut at the borders of the frame: each one must get its scores.
    """

    short_side: int | None = 256

    def __call__(
        self, clip: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See ``Transform``; nothing is random here."""
        clip = _resize(clip, _sized(clip[0], self.short_side))
        height, width = clip.shape[1:3]
        return clip, self.boxes(boxes, width, height), np.arange(len(boxes))

    def frame(self, frame: np.ndarray) -> np.ndarray:
        """One frame u8[H, W, 3] of a clip, resized: u8[h, w, 3]."""
        return _resize(frame[None], _sized(frame, self.short_side))[0]

    def boxes(self, boxes: np.ndarray, width: int, height: int) -> np.ndarray:
        """Normalised boxes f32[N, 4] in the pixels of the resized frame."""
        return clip_boxes(scale_boxes(boxes, (width, height)), width, height)


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

    def __call__(
        self, clip: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See ``Transform``."""
        boxes = clip_boxes(_jitter(boxes, self.box_jitter, rng), 1, 1)
        height, width = clip.shape[1:3]
        resized_width, resized_height = self._size_before_crop(clip, rng)
        crop_height, crop_width = self.crop
        top = int(rng.integers(resized_height - crop_height + 1))
        left = int(rng.integers(resized_width - crop_width + 1))
        # In whole pixels of the frame, so that only what is seen is resized.
        y1, y2 = _seen(top, crop_height, height / resized_height)
        x1, x2 = _seen(left, crop_width, width / resized_width)
        boxes = scale_boxes(boxes, (width, height)) - np.array([x1, y1, x1, y1], boxes.dtype)
        boxes = scale_boxes(boxes, (crop_width / (x2 - x1), crop_height / (y2 - y1)))
        whole = area(boxes)
        boxes = clip_boxes(boxes, crop_width, crop_height)
        visible = area(boxes)
        kept = np.flatnonzero((visible > 1) & (visible >= self.min_visible * whole))
        boxes = boxes[kept]

        mirrored = rng.random() < self.flip
        clip = _resize(clip[:, y1:y2, x1:x2], (crop_width, crop_height), mirrored)
        if mirrored:
            boxes = flip_boxes(boxes, crop_width)
        if self.color > 0:
            clip = _recolor(clip, self.color, rng)
        return clip, boxes, kept

    def _size_before_crop(self, clip: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
        """(width, height) that covers the crop."""
        short_side = None
        if self.short_side is not None:
            low, high = self.short_side
            short_side = int(rng.integers(low, high + 1))
        width, height = _sized(clip[0], short_side)
        enlarge = max(1.0, self.crop[0] / height, self.crop[1] / width)
        return (
            max(self.crop[1], round(width * enlarge)),
            max(self.crop[0], round(height * enlarge)),
        )


def _sized(frame: np.ndarray, short_side: int | None) -> tuple[int, int]:
    """(width, height) of the frame with that short side; the long one is rounded down, as in
    PySlowFast, so that results compare."""
    height, width = frame.shape[:2]
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


def _resize(clip: np.ndarray, size: tuple[int, int], mirrored: bool = False) -> np.ndarray:
    """The clip u8[T, H, W, 3] resized to (width, height), and mirrored left to right."""
    width, height = size
    result = np.empty((len(clip), height, width, 3), np.uint8)
    same = clip.shape[1:3] == (height, width)
    for frame, target in zip(clip, result, strict=True):
        if same:
            target[:] = frame
        else:
            cv2.resize(frame, size, dst=target, interpolation=cv2.INTER_LINEAR)
        if mirrored:
            cv2.flip(target, 1, dst=target)
    return result


def _jitter(boxes: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return boxes + sides * rng.uniform(-strength, strength, boxes.shape).astype(boxes.dtype)


def _recolor(clip: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Contrast, brightness and a gain per channel as one look-up table for the whole clip."""
    contrast = rng.uniform(1 - strength, 1 + strength)
    brightness = 127.5 * rng.uniform(-strength, strength)
    gains = rng.uniform(1 - strength, 1 + strength, 3)
    values = (np.arange(256.0) - 127.5) * contrast + 127.5 + brightness
    table = np.clip(np.rint(values[:, None] * gains), 0, 255).astype(np.uint8)
    rows = clip.reshape(-1, clip.shape[2], 3)
    return cv2.LUT(rows, table[None]).reshape(clip.shape)
