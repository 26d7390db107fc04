"""The Python face of a trained model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from ava_detect.inference.detector import Detector
from ava_detect.models.heads import RoIHead
from ava_detect.models.network import ActionDetector
from ava_detect.models.slowfast import SlowFast
from ava_eval.errors import InputError

LABEL_MAP = pd.DataFrame({"action_id": [5, 12, 80], "name": ["fall down", "stand", "watch"]})
BOXES = np.array([[3, 4, 30, 40], [20, 2.5, 50, 37]], dtype=np.float32)


@pytest.fixture
def model() -> ActionDetector:
    torch.manual_seed(0)
    backbone = SlowFast(
        block="basic",
        depths=(1, 1, 1, 1),
        widths=(8, 8, 8, 8),
        alpha=4,
        beta_inv=4,
        stem="space_to_depth",
        zero_init=False,
    )
    return ActionDetector(backbone, RoIHead(backbone.out_channels, 3, backbone.strides))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
@pytest.mark.parametrize(("frames", "height", "width"), [(8, 40, 56), (5, 41, 55), (1, 32, 32)])
def test_it_scores_any_clip(model, precision: str, frames: int, height: int, width: int) -> None:
    scores = Detector(model, LABEL_MAP, precision).predict(noise(frames, height, width), BOXES)
    assert isinstance(scores, np.ndarray)
    assert (scores.dtype, scores.shape) == (np.float32, (2, 3))
    assert ((scores > 0) & (scores < 1)).all()


def test_scores_are_the_sigmoid_of_the_models_logits_without_dropout(model) -> None:
    clip = noise(8, 40, 56)
    scores = Detector(model, LABEL_MAP, "float32").predict(clip, BOXES)
    rois = torch.cat([torch.zeros(2, 1), torch.from_numpy(BOXES)], dim=1)
    expected = model.eval()(torch.from_numpy(clip)[None], rois).sigmoid()
    np.testing.assert_allclose(scores, expected.detach().numpy(), rtol=1e-5)


def test_a_person_scores_the_same_alone(model) -> None:
    detector, clip = Detector(model, LABEL_MAP, "float32"), noise(8, 40, 56)
    both = detector.predict(clip, BOXES)
    np.testing.assert_allclose(detector.predict(clip, BOXES[1:]), both[1:], rtol=1e-5)


def test_nobody_gives_an_empty_table(model) -> None:
    scores = Detector(model, LABEL_MAP).predict(noise(8, 40, 56), np.empty((0, 4), np.float32))
    assert scores.shape == (0, 3)


def test_a_read_only_or_mirrored_clip_is_welcome(model) -> None:
    detector, clip = Detector(model, LABEL_MAP, "float32"), noise(8, 40, 56)
    mirrored = clip[:, :, ::-1]
    expected = detector.predict(mirrored.copy(), BOXES)
    mirrored.setflags(write=False)
    np.testing.assert_array_equal(detector.predict(mirrored, BOXES), expected)


@pytest.mark.parametrize(
    ("clip", "boxes", "message"),
    [
        (noise(8, 40, 56).astype(np.float32), BOXES, r"clip: expected uint8 .* got float32"),
        (noise(40, 56), BOXES, r"clip: .* got uint8 \[40, 56, 3\]"),
        (noise(8, 40, 56).transpose(0, 3, 1, 2), BOXES, r"clip: .* \[8, 3, 40, 56\]"),
        (noise(0, 40, 56), BOXES, r"clip: .* \[0, 40, 56, 3\]"),
        (noise(8, 40, 56), BOXES[0], r"boxes: expected \[N,4\], got \[4\]"),
        (noise(8, 40, 56), np.full((1, 4), np.nan), r"boxes: expected finite"),
    ],
)
def test_wrong_input_is_told(model, clip: np.ndarray, boxes: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Detector(model, LABEL_MAP).predict(clip, boxes)


def test_a_label_map_of_another_model_is_refused(model) -> None:
    with pytest.raises(InputError, match="expected the 3 actions of the model, got 2"):
        Detector(model, LABEL_MAP[:2])
