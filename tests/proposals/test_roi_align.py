"""RoIAlign by a table beside torchvision's."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torchvision.ops import MultiScaleRoIAlign

from ava_detect.proposals.roi_align import multi_scale_roi_align, roi_align

ODD = torch.tensor(
    [
        [0, 3, 4, 3, 9],  # no width
        [1, 9, 8, 2, 3],  # turned round
        [0, -30, -20, 25, 14],  # from outside
        [1, 60, 40, 300, 200],  # to far outside
        [1, 900, 900, 950, 990],  # outside
        [0, 0, 0, 63.9, 47.9],  # everything
        [0, 5.2, 5.3, 5.4, 5.6],  # within a cell
    ]
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def boxes(number: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(number, 2, generator=generator) * torch.tensor([60.0, 44.0])
    sides = torch.rand(number, 2, generator=generator) * 40 + 1
    images = torch.randint(0, 2, (number, 1), generator=generator)
    return torch.cat([images, corners, corners + sides], dim=1)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, -1, 1, 2, 3])
@pytest.mark.parametrize("size", [(7, 7), (3, 5)])
def test_it_is_torchvisions(size, ratio, aligned):
    feature = noise(2, 5, 12, 16)
    rois = torch.cat([boxes(60), ODD])
    for some in (feature, feature.to(memory_format=torch.channels_last)):
        wanted = torchvision.ops.roi_align(some, rois, size, 0.25, ratio, aligned)
        got = roi_align(some, rois, size, 0.25, ratio, aligned)
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert wanted.abs().max() > 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2)])
def test_small_maps(shape):
    feature, rois = noise(2, 3, *shape), torch.cat([boxes(20), ODD])
    wanted = torchvision.ops.roi_align(feature, rois, (4, 4), 1 / 16, 2, True)
    torch.testing.assert_close(
        roi_align(feature, rois, (4, 4), 1 / 16, 2, True), wanted, rtol=1e-4, atol=1e-4
    )


def test_many_boxes_are_done_in_parts(monkeypatch):
    feature, rois = noise(2, 5, 12, 16), boxes(60)
    whole = roi_align(feature, rois, (7, 7), 0.25, 2, True)
    monkeypatch.setattr("ava_detect.proposals.roi_align.MOST_CELLS", 3000)
    torch.testing.assert_close(roi_align(feature, rois, (7, 7), 0.25, 2, True), whole)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_a_number_does_no_harm(value):
    feature, rois = noise(2, 5, 12, 16), boxes(5)
    sound = roi_align(feature, rois, (7, 7), 0.25, 0, True)
    rois[2, 3] = value
    got = roi_align(feature, rois, (7, 7), 0.25, 0, True)
    assert got.isfinite().all()
    torch.testing.assert_close(got[[0, 1, 3, 4]], sound[[0, 1, 3, 4]])
    pool = MultiScaleRoIAlign(["a"], output_size=7, sampling_ratio=2)
    got = multi_scale_roi_align(pool, {"a": feature}, [rois[:, 1:], rois[:, 1:]], [(48, 64)] * 2)
    assert got.isfinite().all()


def test_no_boxes():
    assert roi_align(noise(1, 3, 4, 4), torch.zeros(0, 5), (7, 7)).shape == (0, 3, 7, 7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_are_added_up_in_float32(dtype):
    feature, rois = noise(2, 5, 12, 16).to(dtype), boxes(30)
    got = roi_align(feature, rois, (7, 7), 0.25, 2, True)
    assert got.dtype == dtype
    wanted = torchvision.ops.roi_align(feature.float(), rois, (7, 7), 0.25, 2, True)
    torch.testing.assert_close(got, wanted.to(dtype), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("names", [["a", "b", "c"], ["b"]])
@pytest.mark.parametrize("counts", [(30, 20), (0, 25), (0, 0)])
def test_levels_are_chosen_as_torchvision_does(names, counts):
    shapes = [(190, 250), (256, 200)]  # on a canvas of 256 x 256
    features = {name: noise(2, 5, 64 >> i, 64 >> i, seed=i) for i, name in enumerate("abcd")}
    pool = MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2, canonical_scale=100)
    lists = []
    for i, count in enumerate(counts):
        some = boxes(count, seed=i)[:, 1:]
        lists.append(torch.cat([some[:, :2], some[:, :2] + (some[:, 2:] - some[:, :2]) * 6], 1))
    wanted = pool(features, lists, shapes)
    got = multi_scale_roi_align(pool, features, lists, shapes)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    assert len(got) == sum(counts)
