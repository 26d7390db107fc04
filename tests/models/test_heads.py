"""The box head against explicit computations."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import roi_align

from ava_detect.models.heads import RoIHead

STRIDE = 8


@pytest.mark.parametrize("aligned", [True, False])
def test_it_equals_3d_roi_align_of_a_box_replicated_in_time(
    rois: torch.Tensor, aligned: bool
) -> None:
    torch.manual_seed(0)
    features = [torch.randn(2, 6, 3, 6, 8), torch.randn(2, 4, 12, 6, 8)]
    head = RoIHead([6, 4], 5, [STRIDE, STRIDE], dropout=0.0, aligned=aligned)

    pooled = []
    for feature in features:
        frames = [
            roi_align(feature[:, :, t], rois, 7, 1 / STRIDE, aligned=aligned)
            for t in range(feature.shape[2])
        ]
        cells = torch.stack(frames, dim=2)  # [M,C,T,7,7]: the box in every frame
        pooled.append(cells.mean(dim=2).flatten(2).max(dim=2).values)
    expected = head.classifier(torch.cat(pooled, dim=1))

    torch.testing.assert_close(head(features, rois), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("aligned", "offset"), [(True, 0.5), (False, 0.0)])
def test_boxes_are_in_pixels_of_the_clip(aligned: bool, offset: float) -> None:
    ramp = torch.arange(8.0).expand(1, 1, 2, 6, 8)  # each cell holds its column
    head = RoIHead([1], 1, [STRIDE], dropout=0.0, aligned=aligned)
    torch.nn.init.ones_(head.classifier.weight)
    box = torch.tensor([[0, 12.0, 8.0, 40.0, 40.0]])
    # the largest of 7 bins is the last; its mean is its centre, half a bin before the right edge
    expected = 40 / STRIDE - offset - (40 - 12) / STRIDE / 14
    assert head([ramp], box).item() == pytest.approx(expected, abs=1e-5)


def test_nobody_gives_an_empty_answer_and_gradients_of_zero() -> None:
    head = RoIHead([6], 5, [STRIDE])
    feature = torch.randn(2, 6, 3, 6, 8, requires_grad=True)
    logits = head([feature], torch.empty(0, 5))
    assert logits.shape == (0, 5)
    logits.sum().backward()
    assert feature.grad.eq(0).all()


@pytest.mark.parametrize(
    ("prior", "bias"),
    [(0.5, [0.0] * 3), (0.01, [-4.59512] * 3), ((0.5, 0.1, 0.9), [0, -2.1972, 2.1972])],
)
def test_classes_start_at_their_prior(prior, bias: list[float]) -> None:
    torch.manual_seed(0)
    head = RoIHead([2048, 256], 3, [STRIDE] * 2, prior=prior)
    torch.testing.assert_close(head.classifier.bias.detach(), torch.tensor(bias), atol=1e-4, rtol=0)
    assert head.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_dropout_acts_in_training_only(rois: torch.Tensor) -> None:
    head = RoIHead([64], 5, [STRIDE])
    features = [torch.randn(2, 64, 3, 6, 8)]
    assert not torch.equal(head(features, rois), head(features, rois))
    head.eval()
    assert torch.equal(head(features, rois), head(features, rois))


def test_logits_stay_in_float32_under_autocast(rois: torch.Tensor) -> None:
    head = RoIHead([6], 5, [STRIDE]).eval()
    feature = torch.randn(2, 6, 3, 6, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        logits = head([feature], rois)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, head([feature.float()], rois))
