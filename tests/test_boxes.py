"""Box geometry on hand examples."""

import numpy as np
import pytest

from ava_detect.boxes import area, clip_boxes, flip_boxes, iou_matrix, scale_boxes

UNIT = [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        (UNIT, UNIT, 1.0),
        (UNIT, [0.5, 0.0, 1.5, 1.0], 1 / 3),
        (UNIT, [0.25, 0.25, 0.75, 0.75], 0.25),
        (UNIT, [1.0, 0.0, 2.0, 1.0], 0.0),
        (UNIT, [2.0, 2.0, 3.0, 3.0], 0.0),
        ([0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5], 0.0),
        (UNIT, [0.9, 0.9, 0.1, 0.1], 0.0),
    ],
)
def test_iou_is_intersection_over_union(a: list, b: list, iou: float) -> None:
    forward = iou_matrix(np.array([a], np.float32), np.array([b], np.float32))
    backward = iou_matrix(np.array([b]), np.array([a]))
    assert forward.dtype == np.float64
    np.testing.assert_allclose(forward, [[iou]])
    np.testing.assert_allclose(backward, [[iou]])


def test_iou_matrix_pairs_every_row_with_every_column() -> None:
    a = np.array([UNIT, [0.0, 0.0, 2.0, 1.0]])
    b = np.array([UNIT, [0.0, 0.0, 2.0, 1.0], [5.0, 5.0, 6.0, 6.0]])
    np.testing.assert_allclose(iou_matrix(a, b), [[1, 0.5, 0], [0.5, 1, 0]])
    assert iou_matrix(np.zeros((0, 4)), b).shape == (0, 3)


def test_area_of_inverted_boxes_is_zero() -> None:
    boxes = np.array([[0.0, 0.0, 2.0, 3.0], [1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 5.0]])
    np.testing.assert_array_equal(area(boxes), [6, 0, 0])


def test_boxes_are_clipped_scaled_and_flipped_without_touching_the_input() -> None:
    boxes = np.array([[-0.1, 0.2, 0.5, 1.2]], np.float32)
    before = boxes.copy()
    np.testing.assert_allclose(scale_boxes(boxes, (100, 50)), [[-10, 10, 50, 60]])
    np.testing.assert_allclose(clip_boxes(boxes * 100, 80, 60), [[0, 20, 50, 60]])
    np.testing.assert_allclose(flip_boxes(boxes, 1), [[0.5, 0.2, 1.1, 1.2]])
    np.testing.assert_allclose(flip_boxes(flip_boxes(boxes, 7), 7), boxes, atol=1e-6)
    np.testing.assert_array_equal(boxes, before)
    assert scale_boxes(boxes, (100, 50)).dtype == clip_boxes(boxes, 1, 1).dtype == np.float32
