"""Boxes and pixels move together."""

from __future__ import annotations

import numpy as np
import pytest

from ava_detect.data.transforms import EvalTransform, TrainTransform, Transform

NUM_FRAMES = 3


def transformed(
    transform: Transform, clip: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is seen of a clip, the boxes in it, and whose they are."""
    view = transform((clip.shape[2], clip.shape[1]), boxes, rng)
    seen = np.empty((len(clip), *view.size[::-1], 3), np.uint8)
    for frame, target in zip(clip, seen, strict=True):
        view.show(frame, target)
    return seen, view.boxes, view.kept


def painted(height: int, width: int, box: tuple[int, int, int, int]) -> np.ndarray:
    """A dark clip with a bright rectangle on the pixels of the box."""
    clip = np.full((NUM_FRAMES, height, width, 3), 20, np.uint8)
    x1, y1, x2, y2 = box
    clip[:, y1:y2, x1:x2] = 230
    return clip


def normalised(box: tuple[int, int, int, int], height: int, width: int) -> np.ndarray:
    return np.array([box], np.float32) / np.array([width, height, width, height], np.float32)


def bright_box(frame: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(frame[..., 0] > 125)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


SIZES = [(120, 160), (200, 90), (64, 64)]
TRANSFORMS = [
    EvalTransform(None),
    EvalTransform(96),
    TrainTransform(None, (48, 64), flip=0.0),
    TrainTransform(None, (48, 64), flip=1.0),
    TrainTransform((80, 150), (72, 60)),
    TrainTransform((70, 80), (112, 144)),
    TrainTransform((80, 150), (72, 60), color=0.2),
    TrainTransform(None, (224, 224), flip=0.5),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=repr)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_the_box_still_surrounds_the_painted_rectangle(transform, height: int, width: int) -> None:
    box = (width // 5, height // 4, width // 2, height * 3 // 4)
    clip = painted(height, width, box)
    seen = 0
    for seed in range(12):
        boxes = normalised(box, height, width)
        result, moved, kept = transformed(transform, clip, boxes, np.random.default_rng(seed))
        assert result.dtype == np.uint8
        assert result.flags.c_contiguous
        assert moved.dtype == np.float32
        seen += len(kept)
        if len(kept):
            for frame in result:
                np.testing.assert_allclose(moved[0], bright_box(frame), atol=2.01)
    assert seen > 6
    np.testing.assert_array_equal(clip, painted(height, width, box))


@pytest.mark.parametrize(
    ("short_side", "size", "expected"),
    [
        (256, (480, 640), (256, 341)),
        (256, (360, 640), (256, 455)),
        (64, (200, 100), (128, 64)),
        (None, (33, 47), (33, 47)),
    ],
)
def test_evaluation_sees_the_whole_frame_and_every_box(
    short_side: int | None, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    boxes = np.array([[0, 0, 1, 1], [-0.2, 0.5, 0.5, 1.3], [0.7, 0.7, 0.7, 0.7]], np.float32)
    clip = np.zeros((2, *size, 3), np.uint8)
    clip, boxes, kept = transformed(
        EvalTransform(short_side), clip, boxes, np.random.default_rng(0)
    )
    height, width = expected
    assert clip.shape == (2, height, width, 3)
    assert kept.tolist() == [0, 1, 2]
    np.testing.assert_allclose(boxes[0], [0, 0, width, height])
    np.testing.assert_allclose(boxes[1], [0, height / 2, width / 2, height])


@pytest.mark.parametrize("size", [(120, 160), (30, 200), (300, 20)])
def test_a_crop_has_its_size_whatever_that_of_the_frame(size: tuple[int, int]) -> None:
    clip = np.zeros((2, *size, 3), np.uint8)
    for short_side in (None, (40, 400)):
        transform = TrainTransform(short_side, crop=(112, 144))
        for seed in range(5):
            result, _, _ = transformed(
                transform, clip, np.zeros((0, 4), np.float32), np.random.default_rng(seed)
            )
            assert result.shape == (2, 112, 144, 3)


@pytest.mark.parametrize("min_visible", [0.0, 0.25, 0.9])
def test_who_is_cropped_away_leaves_with_the_number_of_its_box(min_visible: float) -> None:
    side = 100
    grid = np.arange(0, 1, 0.1, np.float32)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    boxes = np.stack([x, y, x + 0.3, y + 0.3], axis=1)
    boxes[::7, 2:] = boxes[::7, :2] + 0.005  # at most a pixel
    clip = np.zeros((1, side, side, 3), np.uint8)
    transform = TrainTransform(None, (50, 50), flip=0.0, min_visible=min_visible)
    dropped = 0
    for seed in range(10):
        _, moved, kept = transformed(transform, clip, boxes, np.random.default_rng(seed))
        assert len(moved) == len(kept)
        dropped += len(boxes) - len(kept)
        sides = moved[:, 2:] - moved[:, :2]
        whole = np.minimum(boxes[kept, 2:], 1) - boxes[kept, :2]
        assert (sides.prod(axis=1) > 1).all()
        assert (sides.prod(axis=1) >= min_visible * whole.prod(axis=1) * side**2 - 1e-2).all()
        assert not set(kept) & set(range(0, len(boxes), 7))
        assert (moved >= 0).all()
        assert (moved <= 50).all()
    assert dropped > 0


def test_jitter_moves_each_edge_by_a_bounded_part_of_the_box() -> None:
    boxes = np.array([[0.3, 0.2, 0.5, 0.8]] * 200, np.float32)
    transform = TrainTransform(None, (100, 100), flip=0.0, box_jitter=0.1)
    clip = np.zeros((1, 100, 100, 3), np.uint8)
    _, moved, kept = transformed(transform, clip, boxes, np.random.default_rng(0))
    assert len(kept) == 200
    shifts = np.abs(moved / 100 - boxes)
    limit = np.array([0.02, 0.06, 0.02, 0.06])
    assert (shifts <= limit + 1e-5).all()
    assert (shifts.max(axis=0) > 0.8 * limit).all()


def test_colour_changes_every_frame_alike_and_keeps_the_order_of_values() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, None, :, None], (4, 2, 1, 3))
    transform = TrainTransform(None, (2, 256), flip=0.0, color=0.3)
    results = [
        transformed(transform, ramp, np.zeros((0, 4), np.float32), np.random.default_rng(seed))[0]
        for seed in range(5)
    ]
    for result in results:
        assert (result == result[:1, :1]).all()
        assert (np.diff(result.astype(int), axis=2) >= 0).all()
    assert len({result.tobytes() for result in results}) == 5
