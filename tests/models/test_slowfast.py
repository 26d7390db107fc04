"""The backbone against the published architecture, and at any clip size."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
import torch

from ava_detect.models.heads import RoIHead
from ava_detect.models.network import ActionDetector
from ava_detect.models.sampling import spread_indices, take_frames
from ava_detect.models.slowfast import (
    SlowFast,
    space_to_depth,
)


def on_paper(num_classes: int = 80, **settings) -> ActionDetector:
    """The detector's shapes without its numbers."""
    with torch.device("meta"):
        backbone = SlowFast(**settings)
        return ActionDetector(
            backbone, RoIHead(backbone.out_channels, num_classes, backbone.strides)
        )


def published_shapes(fast: bool) -> Counter[tuple[int, ...]]:
    """Parameter shapes of the published ResNet-50 detectors (8x8, beta 1/8, 80 classes)."""
    shapes: list[tuple[int, ...]] = []

    def conv_and_norm(out: int, inputs: int, time: int = 1, space: int = 1) -> None:
        shapes.extend([(out, inputs, time, space, space), (out,), (out,)])

    def stage(inputs: int, inner: int, depth: int, time: int) -> None:
        conv_and_norm(4 * inner, inputs)  # the shortcut of the first block
        for block in range(depth):
            conv_and_norm(inner, inputs if block == 0 else 4 * inner, time)
            conv_and_norm(inner, inner, space=3)
            conv_and_norm(4 * inner, inner)

    conv_and_norm(64, 3, space=7)
    slow_inputs = (80, 320, 640, 1280) if fast else (64, 256, 512, 1024)
    for inputs, inner, depth, time in zip(
        slow_inputs, (64, 128, 256, 512), (3, 4, 6, 3), (1, 1, 3, 3), strict=True
    ):
        stage(inputs, inner, depth, time)
    if fast:
        conv_and_norm(8, 3, time=5, space=7)
        for inputs, inner, depth in zip(
            (8, 32, 64, 128), (8, 16, 32, 64), (3, 4, 6, 3), strict=True
        ):
            stage(inputs, inner, depth, 3)
        for channels in (8, 32, 64, 128):
            conv_and_norm(2 * channels, channels, time=7)
    shapes.extend([(80, 2304 if fast else 2048), (80,)])
    return Counter(shapes)


@pytest.mark.parametrize(
    ("settings", "fast", "params", "entries"),
    [
        ({"alpha": 4}, True, 33_828_888, 662),
        ({"alpha": 1, "pathways": "slow"}, False, 31_798_416, 320),
    ],
)
def test_the_resnet50_detectors_have_the_published_shapes(
    settings: dict, fast: bool, params: int, entries: int
) -> None:
    model = on_paper(**settings)
    assert Counter(tuple(p.shape) for p in model.parameters()) == published_shapes(fast)
    assert sum(p.numel() for p in model.parameters()) == params
    assert len(model.state_dict()) == entries


@pytest.mark.parametrize(
    ("dump", "settings"),
    [
        ("keys_pyslowfast_SLOWFAST_32x2_R50_SHORT.txt", {"alpha": 4}),
        ("keys_pyslowfast_SLOW_8x8_R50_SHORT.txt", {"alpha": 1, "pathways": "slow"}),
    ],
)
def test_the_state_dict_has_the_shapes_of_a_dumped_checkpoint(
    shared_data: Path, dump: str, settings: dict
) -> None:
    path = shared_data.parent / "docs" / "weights" / dump
    if not path.exists():
        pytest.skip(f"{dump} is not beside this checkout")
    dumped = Counter(
        ast.literal_eval(line.split("\t")[1]) for line in path.read_text().splitlines()
    )
    model = on_paper(**settings)
    assert Counter(tuple(value.shape) for value in model.state_dict().values()) == dumped


@pytest.mark.parametrize(
    ("num_frames", "alpha", "expected"),
    [
        (32, 4, [0, 4, 8, 13, 17, 22, 26, 31]),
        (32, 8, [0, 10, 20, 31]),
        (16, 4, [0, 5, 10, 15]),
        (4, 1, [0, 1, 2, 3]),
        (10, 4, [0, 4, 9]),
        (3, 8, [0]),
        (1, 4, [0]),
    ],
)
def test_slow_frames_are_spread_over_the_clip(
    num_frames: int, alpha: int, expected: list[int]
) -> None:
    indices = spread_indices(num_frames, alpha)
    assert indices == expected
    frames = torch.arange(num_frames).float().view(1, 1, -1, 1, 1).expand(1, 3, -1, 2, 2)
    assert take_frames(frames, indices)[0, 2, :, 1, 1].tolist() == expected


def test_the_slow_pathway_alone_sees_only_its_frames(tiny_detector) -> None:
    backbone = tiny_detector(pathways="slow").backbone.eval()
    frames = torch.randn(1, 3, 16, 16, 16)
    unseen = frames.clone()
    unseen[:, :, [1, 2, 3, 4, 6, 9, 11, 14]] = 7.0
    seen = frames.clone()
    seen[:, :, 5] = 7.0
    assert torch.equal(backbone(frames)[0], backbone(unseen)[0])
    assert not torch.equal(backbone(frames)[0], backbone(seen)[0])


def test_motion_of_the_fast_pathway_reaches_the_slow_one(tiny_detector) -> None:
    backbone = tiny_detector().backbone.eval()
    frames = torch.randn(1, 3, 16, 16, 16)
    other = frames.clone()
    other[:, :, 7] += 1  # not one of 0, 5, 10, 15
    slow, fast = backbone(frames)
    other_slow, other_fast = backbone(other)
    assert not torch.equal(slow, other_slow)
    assert not torch.equal(fast, other_fast)


@pytest.mark.parametrize(("pathways", "widths"), [("slowfast", 2), ("slow", 1), ("fast", 1)])
@pytest.mark.parametrize("stem", ["conv7", "space_to_depth"])
@pytest.mark.parametrize(
    ("num_frames", "height", "width"), [(1, 32, 32), (7, 37, 50), (18, 33, 64)]
)
def test_any_number_of_frames_and_any_size(
    tiny_detector, pathways: str, widths: int, stem: str, num_frames: int, height: int, width: int
) -> None:
    backbone = tiny_detector(pathways=pathways, stem=stem).backbone.eval()
    features = backbone(torch.randn(1, 3, num_frames, height, width))
    times = {"slow": -(-num_frames // 4), "fast": num_frames}
    expected_times = list(times.values()) if pathways == "slowfast" else [times[pathways]]
    assert len(features) == widths
    assert [f.shape[1] for f in features] == backbone.out_channels
    assert [f.shape[2] for f in features] == expected_times
    for feature in features:
        assert feature.shape[3:] == (-(-height // 8), -(-width // 8))


@pytest.mark.parametrize(
    ("settings", "stride"),
    [
        ({}, 16),
        ({"res5_stride": 2, "res5_dilation": 1}, 32),
        ({"stem": "space_to_depth", "strides": (1, 2, 1)}, 8),
    ],
)
def test_the_stride_is_that_of_the_features(settings: dict, stride: int) -> None:
    backbone = on_paper(**settings).backbone
    assert backbone.strides[0] == stride
    features = backbone(torch.empty(1, 3, 8, 64, 128, device="meta"))
    assert [tuple(f.shape[3:]) for f in features] == [(64 // stride, 128 // stride)] * 2


def test_space_to_depth_puts_each_patch_into_the_channels() -> None:
    frames = torch.arange(2 * 3 * 2 * 8 * 12).float().view(2, 3, 2, 8, 12)
    out = space_to_depth(frames, 4)
    assert out.shape == (2, 48, 2, 2, 3)
    assert out.is_contiguous(memory_format=torch.channels_last_3d)
    for y, x, channel in [(0, 0, 0), (1, 3, 2), (3, 2, 1)]:
        expected = frames[:, channel, :, y::4, x::4]
        assert torch.equal(out[:, (y * 4 + x) * 3 + channel], expected)
    assert torch.equal(
        space_to_depth(frames[..., :5, :9], 4)[..., 1, 2][:, 3:], torch.zeros(2, 45, 2)
    )


@pytest.mark.parametrize(
    ("beta_inv", "fast_inner"), [(8, (8, 16, 32, 64)), (6, (11, 22, 43, 86)), (12, (6, 11, 22, 43))]
)
def test_fast_widths_are_rounded_up(beta_inv: int, fast_inner: tuple[int, ...]) -> None:
    stages = on_paper(beta_inv=beta_inv).backbone.fast.stages
    assert tuple(stage[0].b.conv.out_channels for stage in stages) == fast_inner
