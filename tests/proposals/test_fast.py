"""Detectors prepared for inference beside what they were."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ava_detect.inference.winograd import WinogradSpace
from ava_detect.proposals.fast import WinogradForward, run_faster
from ava_detect.proposals.torchvision_rcnn import build_faster_rcnn

CPU = torch.device("cpu")


@pytest.fixture
def taken(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes of what was convolved by Winograd's way."""
    shapes = []
    call = WinogradSpace.__call__
    monkeypatch.setattr(
        WinogradSpace, "__call__", lambda self, x: shapes.append(tuple(x.shape)) or call(self, x)
    )
    return shapes


@pytest.mark.parametrize("variant", ["small", "resnet50_fpn_v2"])
def test_a_detector_of_torchvision_finds_the_same(variant, taken):
    torch.manual_seed(0)
    plain = build_faster_rcnn(variant, pretrained=False, short_side=96)
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
    plain.roi_heads.score_thresh = 0.0
    fast = copy.deepcopy(plain)
    run_faster(fast, torch.float32, CPU)
    images = [torch.rand(3, 96, 128), torch.rand(3, 120, 100)]
    with torch.inference_mode():
        wanted, got = plain(images), fast(images)
    for one, other in zip(got, wanted, strict=True):
        assert len(other["boxes"]) > 3
        torch.testing.assert_close(one["scores"], other["scores"], rtol=1e-3, atol=1e-5)
        # boxes of untrained weights have nearly the same scores, so that two may change places
        distances = (other["boxes"][:, None] - one["boxes"][None]).abs().amax(dim=2)
        assert (distances.amin(dim=1) < 0.05).float().mean() > 0.95
    assert bool(taken) == (variant != "small")


def test_where_nothing_is_found_nothing_is_proposed():
    model = build_faster_rcnn("resnet50_fpn_v2", pretrained=False, short_side=96)
    model.rpn.score_thresh = 2.0
    run_faster(model, torch.float32, CPU)
    with torch.inference_mode():
        (answer,) = model([torch.rand(3, 96, 128)])
    assert answer["boxes"].shape == (0, 4)


def test_a_convolution_keeps_its_activation(taken):
    conv = nn.Conv2d(256, 256, 3, padding=1)
    conv.activation = F.relu  # as detectron2's have
    x = torch.randn(6, 256, 12, 16)
    with torch.inference_mode():
        torch.testing.assert_close(WinogradForward(conv)(x), conv(x).relu(), rtol=1e-4, atol=1e-5)
    assert taken == [(6, 12, 16, 256)]


def test_small_maps_take_the_plain_way(taken):
    conv = nn.Conv2d(256, 256, 3, padding=1)
    x = torch.randn(1, 256, 2, 1)
    with torch.inference_mode():
        assert torch.equal(WinogradForward(conv)(x), conv(x))
    assert not taken


@pytest.mark.parametrize(
    "settings",
    [{"stride": 2}, {"padding": 0}, {"groups": 2}, {"padding_mode": "reflect"}, {"dilation": 2}],
)
def test_other_convolutions_stay(settings):
    model = nn.Sequential(nn.Conv2d(256, 256, 3, **{"padding": 1, **settings}))
    run_faster(model, torch.float32, CPU)
    assert "forward" not in vars(model[0])


def test_an_export_leaves_nothing_behind():
    model = nn.Sequential(nn.Conv2d(256, 256, 3, padding=1))
    run_faster(model, torch.float32, CPU)
    x = torch.randn(16, 256, 11, 9)
    torch.export.export(model, (x,))
    with torch.inference_mode():
        assert type(model(x)) is torch.Tensor
