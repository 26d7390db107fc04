"""Pictures of people and what they do."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from ava_detect.boxes import scale_boxes
from ava_eval.atomic import atomic_path

LEGIBLE_SIDE = 480
FONT, FONT_SCALE, LINE = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 15
Color = tuple[int, int, int]
COLORS = [(230, 80, 60), (60, 160, 230), (90, 190, 90), (230, 170, 40), (170, 100, 220)]


def draw_people(
    frame: np.ndarray,
    boxes: np.ndarray,
    captions: Sequence[Sequence[str]],
    colors: Sequence[Color] = (),
) -> np.ndarray:
    """Draw each person's box and the lines of its caption.

    Args:
        frame: u8[H, W, 3], RGB; left as it is.
        boxes: f[N, 4], x1 y1 x2 y2 in pixels of ``frame``.
        captions: N lists of lines.
        colors: N colours, RGB; without them people take turns.

    Returns:
        u8[k*H, k*W, 3], RGB; k is 1 or what makes a small frame large enough to read.
    """
    factor = max(1, round(LEGIBLE_SIDE / min(frame.shape[:2])))
    size = (frame.shape[1] * factor, frame.shape[0] * factor)
    image = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
    corners = np.rint(scale_boxes(np.asarray(boxes, float), (factor, factor))).astype(int)
    for number, ((x1, y1, x2, y2), lines) in enumerate(zip(corners, captions, strict=True)):
        color = colors[number] if colors else COLORS[number % len(COLORS)]
        cv2.rectangle(image, (x1, y1), (x2, y2), color, 2)
        _write(image, (x1, y1), lines, color)
    return image


def _write(image: np.ndarray, corner: tuple[int, int], lines: Sequence[str], color: Color) -> None:
    """White lines on a coloured plate at the corner, moved where needed to lie in the image."""
    if not lines:
        return
    width = 6 + max(cv2.getTextSize(line, FONT, FONT_SCALE, 1)[0][0] for line in lines)
    height = 4 + LINE * len(lines)
    x = max(0, min(corner[0], image.shape[1] - width))
    y = max(0, min(corner[1], image.shape[0] - height))
    cv2.rectangle(image, (x, y), (x + width, y + height), color, cv2.FILLED)
    for number, line in enumerate(lines, start=1):
        place = (x + 3, y + LINE * number - 2)
        cv2.putText(image, line, place, FONT, FONT_SCALE, (255, 255, 255), 1, cv2.LINE_AA)


def save_contact_sheet(
    images: Sequence[np.ndarray], path: str | os.PathLike[str], columns: int
) -> None:
    """Write RGB images u8[h, w, 3] of any sizes as one picture, row by row in a grid of cells.

    The suffix of ``path`` chooses the format (.png, .jpg).
    """
    if not images:
        raise ValueError("a contact sheet needs at least one image")
    gap = 4
    height = max(image.shape[0] for image in images) + gap
    width = max(image.shape[1] for image in images) + gap
    rows = -(-len(images) // columns)
    sheet = np.full((rows * height + gap, columns * width + gap, 3), 255, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top, left = gap + row * height, gap + column * width
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
            raise OSError(f"{path}: OpenCV could not write the picture")
