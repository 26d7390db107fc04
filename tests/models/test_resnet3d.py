"""Blocks: shapes, initialisation, the constants of batch norm."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ava_detect.models.resnet3d import build_stage, init_residual


@pytest.mark.parametrize(("block", "out_channels"), [("basic", 6), ("bottleneck", 24)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("temporal_kernel", [1, 3])
def test_a_stage_keeps_time_and_divides_space(
    block: str, out_channels: int, stride: int, dilation: int, temporal_kernel: int
) -> None:
    stage = build_stage(block, 4, 6, 2, temporal_kernel, stride, dilation)
    out = stage(torch.randn(2, 4, 3, 7, 10))
    assert out.shape == (2, out_channels, 3, math.ceil(7 / stride), math.ceil(10 / stride))


def test_only_a_block_that_changes_the_shape_has_a_shortcut_convolution() -> None:
    first, second = build_stage("bottleneck", 8, 2, 2, 1)
    assert isinstance(first.shortcut, nn.Identity)  # 8 channels in, 4 * 2 out, stride 1
    assert isinstance(second.shortcut, nn.Identity)
    assert not isinstance(build_stage("bottleneck", 8, 2, 1, 1, stride=2)[0].shortcut, nn.Identity)
    assert not isinstance(build_stage("bottleneck", 6, 2, 1, 1)[0].shortcut, nn.Identity)


def test_the_temporal_kernel_sees_neighbouring_frames_only_where_asked() -> None:
    clip = torch.randn(1, 4, 5, 6, 6)
    other = clip.clone()
    other[:, :, 2] += 1  # one frame changes
    for kernel, reached in [(1, [2]), (3, [1, 2, 3])]:
        stage = build_stage("bottleneck", 4, 4, 1, kernel).eval()
        changed = (stage(clip) - stage(other)).abs().amax(dim=(0, 1, 3, 4)) > 0
        assert changed.nonzero().flatten().tolist() == reached


def test_initialisation_is_that_of_he_and_batch_norm_that_of_the_paper() -> None:
    stage = build_stage("bottleneck", 64, 64, 1, 3)
    init_residual(stage, zero_init=False)
    weight = stage[0].b.conv.weight  # 64 x 64 x 1 x 3 x 3
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.03)
    for module in stage.modules():
        if isinstance(module, nn.BatchNorm3d):
            assert (module.eps, module.momentum) == (1e-5, 0.1)
            assert module.weight.eq(1).all()
            assert module.bias.eq(0).all()


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_with_zero_init_a_block_starts_as_its_shortcut(block: str) -> None:
    stage = build_stage(block, 8, 8 if block == "basic" else 2, 2, 3)
    init_residual(stage, zero_init=True)
    x = torch.rand(2, 8, 3, 5, 5)
    torch.testing.assert_close(stage(x), x)
