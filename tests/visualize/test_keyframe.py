"""Pictures: the right size, and something drawn in the right place."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ava_detect.visualize.keyframe import draw_people, save_contact_sheet


@pytest.mark.parametrize(("height", "width", "factor"), [(120, 160, 4), (480, 640, 1)])
def test_people_are_drawn_on_a_legible_copy(height: int, width: int, factor: int) -> None:
    frame = np.full((height, width, 3), 100, np.uint8)
    box = np.array([[width * 0.5, height * 0.25, width * 0.75, height * 0.75]], np.float32)
    image = draw_people(frame, box, [["walk 0.93", "talk to 0.41"]])
    assert image.shape == (height * factor, width * factor, 3)
    assert (frame == 100).all()
    rows, columns = np.nonzero((image != 100).any(axis=2))
    assert abs(rows.max() - box[0, 3] * factor) <= 2
    assert abs(rows.min() - box[0, 1] * factor) <= 2
    assert abs(columns.min() - box[0, 0] * factor) <= 2
    assert (image == 255).all(axis=2).any()


@pytest.mark.parametrize("corner", [(90, 90), (-20, -20), (95, 10)])
def test_captions_at_the_border_are_moved_into_the_image(corner: tuple[int, int]) -> None:
    def written(x: int, y: int) -> int:
        """Number of pixels that carry text."""
        frame = np.zeros((100, 100, 3), np.uint8)
        image = draw_people(frame, np.array([[x, y, x + 30, y + 30]]), [["stand 1.00"] * 3])
        return int((image == 255).all(axis=2).sum())

    assert written(*corner) == written(40, 40) > 0


def test_nobody_leaves_the_picture_as_it_is() -> None:
    frame = np.full((500, 500, 3), 7, np.uint8)
    np.testing.assert_array_equal(draw_people(frame, np.zeros((0, 4)), []), frame)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_contact_sheet_holds_every_image_in_order(tmp_path: Path, suffix: str) -> None:
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    sizes = [(40, 60), (50, 30), (20, 20)]
    images = [
        np.full((*size, 3), color, np.uint8) for size, color in zip(sizes, colors, strict=True)
    ]
    path = tmp_path / "new" / f"sheet{suffix}"
    save_contact_sheet(images, path, columns=2)
    sheet = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert sheet.shape == (2 * 54 + 4, 2 * 64 + 4, 3)
    for (y, x), color in zip([(20, 20), (20, 80), (70, 14)], colors, strict=True):
        np.testing.assert_allclose(sheet[y, x], color, atol=8)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with pytest.raises(ValueError, match="at least one"):
        save_contact_sheet([], path, columns=2)
