"""Where the captions of people go, so that they can be read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FAR = 2.5
"""A plate so many of its heights away from its box had better be shorter and nearer."""
CELLS = 4
"""Cells of the grid on which room is looked for, to the height of the lowest plate."""
Size = tuple[int, int]


def place_plates(
    boxes: np.ndarray, sizes: Sequence[Sequence[Size]], frame: Size
) -> list[tuple[int, np.ndarray]]:
    """Find a place for the plate of each person, the first ones first.

    Above the box, else below it, else where it is nearest to the box and free. Where there is
    nothing free, or nothing near, a person's next form is tried: theirs with fewer lines. Where
    that is not enough for all, everybody gets a smaller form. Plates overlap only where there is
    no room for the smallest.

    Args:
        boxes: i64[N, 4], x1 y1 x2 y2 in pixels.
        sizes: for each person, (width, height) in pixels of the forms of the plate, best first.
        frame: (width, height) in pixels, in which the plates stay.

    Returns:
        For each person the number of the form, and i64[4], x1 y1 x2 y2 of the plate.
    """
    if not len(boxes):
        return []
    placed: list[tuple[int, np.ndarray]] = []
    for left_out in range(max(len(forms) for forms in sizes)):
        room = _Room(frame, min(size[1] for forms in sizes for size in forms))
        placed = []
        for box, forms in zip(boxes.tolist(), sizes, strict=True):
            first = min(left_out, len(forms) - 1)
            form, plate = _place(box, forms[first:], room)
            placed.append((first + form, room.take(plate)))
        if not room.is_overfull:
            break
    return placed


def _place(
    box: Sequence[int], forms: Sequence[Size], room: _Room
) -> tuple[int, tuple[int, int, int, int]]:
    """The form of a plate and its place."""
    far = []
    for number, size in enumerate(forms):
        found = _nearest(box, size, room)
        if found is None:
            continue
        distance, plate = found
        if distance <= FAR * size[1]:
            return number, plate
        far.append((distance, number, plate))
    if far:
        _, number, plate = min(far)
        return number, plate
    number = len(forms) - 1
    return number, room.at(box[0], box[1] - forms[number][1], forms[number])


def _nearest(
    box: Sequence[int], size: Size, room: _Room
) -> tuple[int, tuple[int, int, int, int]] | None:
    """The best free place, and how far (pixels) it is from where one would look first."""
    for y in (box[1] - size[1], box[3]):
        plate = room.at(box[0], y, size)
        if plate[1] == y and room.is_free(plate):
            return 0, plate
    return room.nearest(room.at(box[0], box[1] - size[1], size))


class _Room:
    """Which part of a frame of ``size`` (width, height) pixels is taken.

    Places are exact; only the search for one goes by cells, of which a plate takes all it touches.
    """

    def __init__(self, size: Size, lowest: int) -> None:
        self.size = size
        self.cell = max(1, lowest // CELLS)
        self.is_overfull = False  # a plate lies on another one
        self._plates = np.empty((0, 4), np.int64)
        self._cells = np.zeros((-(-size[1] // self.cell), -(-size[0] // self.cell)), bool)

    def at(self, x: int, y: int, size: Size) -> tuple[int, int, int, int]:
        """The plate of that corner, moved into the frame as far as it fits."""
        x = max(0, min(x, self.size[0] - size[0]))
        y = max(0, min(y, self.size[1] - size[1]))
        return x, y, x + size[0], y + size[1]

    def is_free(self, plate: tuple[int, int, int, int]) -> bool:
        """Whether a plate lies in the frame and shares no pixel with another one."""
        if plate[2] > self.size[0] or plate[3] > self.size[1]:
            return False
        taken, (x1, y1, x2, y2) = self._plates, plate
        apart = (taken[:, 0] >= x2) | (taken[:, 2] <= x1)
        return bool((apart | (taken[:, 1] >= y2) | (taken[:, 3] <= y1)).all())

    def take(self, plate: tuple[int, int, int, int]) -> np.ndarray:
        """Put a plate down: i64[4]."""
        self.is_overfull |= not self.is_free(plate)
        corners = np.array(plate, np.int64)
        self._plates = np.concatenate([self._plates, corners[None]])
        (x1, y1), (x2, y2) = corners[:2] // self.cell, -(-corners[2:] // self.cell)
        self._cells[y1:y2, x1:x2] = True
        return corners

    def nearest(
        self, wanted: tuple[int, int, int, int]
    ) -> tuple[int, tuple[int, int, int, int]] | None:
        """The free place nearest to the one that is wanted, and its distance in pixels."""
        width, height = wanted[2] - wanted[0], wanted[3] - wanted[1]
        rows = (self.size[1] - height) // self.cell + 1
        columns = (self.size[0] - width) // self.cell + 1
        if rows < 1 or columns < 1:
            return None
        down, across = -(-height // self.cell), -(-width // self.cell)
        sums = np.zeros((rows + down, columns + across), np.int32)  # of the cells above and left
        cells = self._cells[: rows + down - 1, : columns + across - 1]
        sums[1 : len(cells) + 1, 1 : cells.shape[1] + 1] = cells.cumsum(0, np.int32).cumsum(1)
        taken = sums[down:, across:] - sums[:-down, across:]
        taken -= sums[down:, :-across] - sums[:-down, :-across]
        distances = np.abs(np.arange(rows) * self.cell - wanted[1])[:, None] + np.abs(
            np.arange(columns) * self.cell - wanted[0]
        )
        distances[taken > 0] = sum(self.size) * 2
        row, column = np.unravel_index(int(np.argmin(distances)), distances.shape)
        if taken[row, column] > 0:
            return None
        x, y = int(column) * self.cell, int(row) * self.cell
        return int(distances[row, column]), (x, y, x + width, y + height)
