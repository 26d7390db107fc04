"""People drawn on a frame of a video: a box, and a plate with what they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ava_detect.boxes import scale_boxes
from ava_detect.visualize.plates import place_plates

Color = tuple[int, int, int]
# Dark enough for white text, and neighbours differ; RGB.
COLORS: tuple[Color, ...] = (
    *((200, 40, 40), (20, 100, 190), (20, 125, 50), (150, 60, 170), (175, 85, 0)),
    *((0, 120, 130), (190, 30, 110), (90, 90, 20), (80, 70, 200), (110, 75, 55)),
)
WHITE = (255, 255, 255)
FONT = cv2.FONT_HERSHEY_SIMPLEX
HIGHEST, COVERED = 0.22, 0.3
"""So high may a plate be, and so large all plates together, as parts of the frame; else they have
fewer lines, down to one."""
CAPITAL = 21.0
"""Height in pixels of a capital letter of the font at scale 1."""


@dataclass(frozen=True)
class Lettering:
    """How large text is, so that it can be read on a frame of some height and is not in the way."""

    scale: float
    thickness: int
    margin: int

    @classmethod
    def for_frame(cls, size: tuple[int, int]) -> Lettering:
        """Text of a frame of ``size`` (width, height) pixels: 7 pixels high on a small one."""
        scale = max(7.0, 3.5 + 0.016 * min(size)) / CAPITAL
        return cls(scale, max(1, round(scale * 1.6)), max(2, round(scale * 7)))

    @property
    def line(self) -> int:
        """Pixels from one line to the next."""
        return round(CAPITAL * self.scale * 1.55) + 1

    def size(self, lines: Sequence[str]) -> tuple[int, int]:
        """(width, height) in pixels of the plate of some lines."""
        widths = [cv2.getTextSize(line, FONT, self.scale, self.thickness)[0][0] for line in lines]
        return max(widths) + 2 * self.margin, self.line * len(lines) + self.margin


@dataclass(frozen=True, eq=False)
class Labelled:
    """A person to draw: the track's id, the box f[4] (normalised xyxy) and a line per action."""

    track: int
    box: np.ndarray
    lines: tuple[str, ...]


def draw_labelled(image: np.ndarray, people: Sequence[Labelled]) -> None:
    """Draw people into ``image`` u8[H, W, 3], RGB; a track keeps its colour.

    The first line of a plate begins with the track's id. Where it is crowded, plates have fewer
    lines, and a thin line leads from a plate to a box that is elsewhere.
    """
    if not people:
        return
    size = (image.shape[1], image.shape[0])
    lettering = Lettering.for_frame(size)
    boxes = np.stack([np.asarray(person.box, np.float64) for person in people])
    corners = np.rint(scale_boxes(boxes, size)).astype(np.int64)
    corners = np.clip(corners, 0, np.array([*size, *size]) - 1)
    forms, sizes = _forms_of_all(people, size, lettering)
    plates = place_plates(corners, sizes, size)
    colors = [COLORS[(person.track - 1) % len(COLORS)] for person in people]
    for (x1, y1, x2, y2), color in zip(corners.tolist(), colors, strict=True):
        cv2.rectangle(image, (x1, y1), (x2, y2), color, lettering.thickness + 1)
    for box, (_, plate), color in zip(corners, plates, colors, strict=True):
        _lead(image, box, plate, color, lettering)
    for some, (number, plate), color in zip(forms, plates, colors, strict=True):
        _write(image, plate, some[number], color, lettering)


def _forms_of_all(
    people: Sequence[Labelled], size: tuple[int, int], lettering: Lettering
) -> tuple[list[list[list[str]]], list[list[tuple[int, int]]]]:
    """The forms of each person's plate and their sizes, which leave most of the frame free."""
    for most in range(max(1, int(HIGHEST * size[1] / lettering.line)), 0, -1):
        forms = [_forms(person, most) for person in people]
        sizes = [[lettering.size(lines) for lines in some] for some in forms]
        if sum(some[0][0] * some[0][1] for some in sizes) <= COVERED * size[0] * size[1]:
            break
    return forms, sizes


def _forms(person: Labelled, most: int) -> list[list[str]]:
    """The plate's lines, at most so many, with ever fewer actions, and at last the id alone."""
    name = f"#{person.track}"
    lines = [f"{name} {person.lines[0]}", *person.lines[1:most]] if person.lines else []
    return [lines[:count] for count in range(len(lines), 0, -1)] + [[name]]


def _lead(
    image: np.ndarray, box: np.ndarray, plate: np.ndarray, color: Color, lettering: Lettering
) -> None:
    """A line from a plate to its box, where they do not touch."""
    apart = np.maximum(box[:2] - plate[2:], plate[:2] - box[2:])
    if apart.max() <= lettering.thickness + 1:
        return
    start = (plate[:2] + plate[2:]) // 2
    end = np.clip(start, box[:2], box[2:])
    cv2.line(image, tuple(start.tolist()), tuple(end.tolist()), color, 1, cv2.LINE_AA)


def _write(
    image: np.ndarray, plate: np.ndarray, lines: Sequence[str], color: Color, lettering: Lettering
) -> None:
    """White lines on a coloured plate."""
    x1, y1, x2, y2 = plate.tolist()
    cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), color, cv2.FILLED)
    drop = round((lettering.line + CAPITAL * lettering.scale) / 2)  # from a line's top to its base
    for number, line in enumerate(lines):
        place = (x1 + lettering.margin, y1 + lettering.margin // 2 + number * lettering.line + drop)
        cv2.putText(
            image, line, place, FONT, lettering.scale, WHITE, lettering.thickness, cv2.LINE_AA
        )
