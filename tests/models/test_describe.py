"""Parameters and multiply-adds against the tables of the paper and measured PySlowFast models."""

from __future__ import annotations

import pytest
import torch

from ava_detect.models.describe import describe
from ava_detect.models.heads import RoIHead
from ava_detect.models.network import ActionDetector
from ava_detect.models.slowfast import SlowFast

CLASSIFIER = {"res5_stride": 2, "res5_dilation": 1}


def shapes_of(num_classes: int, **settings) -> ActionDetector:
    with torch.device("meta"):
        backbone = SlowFast(**settings)
        return ActionDetector(
            backbone, RoIHead(backbone.out_channels, num_classes, backbone.strides)
        )


@pytest.mark.parametrize(
    ("frames", "settings", "paper_gmacs", "params"),
    [
        (32, {"alpha": 8, "fusion_kernel": 5}, 36.1, 34.48e6),
        (32, {"alpha": 4, "fusion_kernel": 7}, 65.7, 34.57e6),
        (4, {"alpha": 1, "pathways": "slow"}, 27.3, 32.45e6),
        (8, {"alpha": 1, "pathways": "slow"}, 54.5, 32.45e6),
        (32, {"alpha": 8, "fusion_kernel": 5, "beta_inv": 6}, 41.8, None),
        (32, {"alpha": 8, "fusion_kernel": 5, "beta_inv": 12}, 32.8, None),
        (32, {"alpha": 8, "fusion_kernel": 5, "beta_inv": 32}, 28.6, 32.8e6),
    ],
)
def test_classifiers_at_256_cost_what_the_paper_says(
    frames: int, settings: dict, paper_gmacs: float, params: float | None
) -> None:
    figures = describe(shapes_of(400, **CLASSIFIER, **settings), (3, frames, 256, 256))
    assert figures["gmacs"]["total"] == pytest.approx(paper_gmacs, rel=0.01)
    assert figures["input"] == [3, frames, 256, 256]
    if params:
        assert figures["params"] == pytest.approx(params, rel=0.002)


def test_pathways_and_laterals_add_up_with_the_head() -> None:
    gmacs = describe(shapes_of(80, alpha=8, **CLASSIFIER), (3, 32, 256, 256))["gmacs"]
    parts = gmacs["slow"] + gmacs["fast"] + gmacs["lateral"] + 2304 * 80 / 1e9
    assert gmacs["total"] == pytest.approx(parts)
    # "the Fast pathway takes about 20 % of the total computation" (section 3.2), with the laterals
    assert (gmacs["fast"] + gmacs["lateral"]) / gmacs["total"] == pytest.approx(0.205, abs=0.01)


def test_a_detector_pays_for_the_finer_last_stage() -> None:
    """At stride 16 res5 has four times the positions, but for its first 1x1 convolution."""
    detector = describe(shapes_of(80, alpha=4), (3, 32, 256, 256))["gmacs"]
    classifier = describe(shapes_of(80, alpha=4, **CLASSIFIER), (3, 32, 256, 256))["gmacs"]
    assert classifier["total"] == pytest.approx(65.7, rel=0.01)
    assert detector["total"] == pytest.approx(96.9, rel=0.01)
    assert detector["lateral"] == classifier["lateral"]


def test_it_leaves_the_model_as_it_was(tiny_detector) -> None:
    model = tiny_detector()
    describe(model, (3, 8, 32, 32))
    assert model.training
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert not any(module._forward_hooks for module in model.modules())


def test_a_known_small_case_is_counted_by_hand(tiny_detector) -> None:
    model = tiny_detector(pathways="slow", alpha=1)  # widths 8, 8, 12, 16; 3x3 of 48 in the stem
    cells = 2 * 8 * 8  # 2 frames of 32x32 pixels in patches of 4x4
    stem = cells * 9 * 48 * 8
    res2 = cells * (9 * 8 * 8 + 9 * 8 * 8)
    res3 = cells // 4 * (9 * 8 * 8 + 9 * 8 * 8 + 8 * 8)
    res4 = cells // 4 * (27 * 8 * 12 + 9 * 12 * 12 + 8 * 12)
    res5 = cells // 4 * (27 * 12 * 16 + 9 * 16 * 16 + 12 * 16)
    gmacs = describe(model, (3, 2, 32, 32))["gmacs"]
    assert gmacs["slow"] == pytest.approx((stem + res2 + res3 + res4 + res5) / 1e9)
    assert gmacs["total"] == pytest.approx(gmacs["slow"] + 16 * 5 / 1e9)
    assert (gmacs["fast"], gmacs["lateral"]) == (0, 0)
