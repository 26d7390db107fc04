"""The paper's ablations: laterals, non-local blocks, weaker Fast inputs, head variants, sizes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ava_detect.commands.describe import facts_of, find_paper
from ava_detect.config import load_config
from ava_detect.models.fast_input import FAST_INPUTS, gray, optical_flow, time_difference
from ava_detect.models.heads import ClipHead, RoIHead
from ava_detect.models.laterals import TimeStridedSample, TimeToChannelConcat, TimeToChannelSum
from ava_detect.models.nonlocal_block import NonLocal3d
from ava_detect.models.sampling import spread_indices, strided_indices

LATERALS = [
    *("time_strided_conv", "time_strided_sample", "time_to_channel_sum"),
    *("time_to_channel_concat", "none"),
]


@pytest.mark.parametrize(
    ("recipe", "gmacs", "params"),
    [
        ("kinetics/slowfast_r50_4x16", 36.1, 34.48),
        ("kinetics/slowfast_r50_8x8", 65.7, 34.57),
        ("kinetics/slowfast_r101_8x8", 106, None),
        ("kinetics/slowfast_r101_16x8", 213, None),
        ("kinetics/slowfast_r101_16x8_nl", 234, None),
        ("kinetics/slow_r50_4x16", 27.3, 32.4),
        ("kinetics/slow_r50_8x8", 54.5, 32.4),
        ("kinetics/fast_r50_4x16", 6.4, None),
    ],
)
def test_recipes_cost_what_the_paper_says(recipe: str, gmacs: float, params: float | None) -> None:
    config = load_config(recipe)
    facts = facts_of(config, 256)
    assert facts["gmacs"]["total"] == pytest.approx(gmacs, rel=0.01)
    if params:
        assert facts["params"] / 1e6 == pytest.approx(params, rel=0.005)
    paper = find_paper(config)
    assert recipe.endswith("slow_r50_8x8") or paper.gmacs == gmacs


@pytest.mark.parametrize(
    ("settings", "gmacs", "within"),
    [
        (["model.lateral=none"], 34.2, 0.01),
        (["model.lateral=time_to_channel_sum"], 34.2, 0.01),
        (["model.lateral=time_to_channel_concat"], 39.8, 0.01),
        (["model.lateral=time_strided_sample"], 34.9, 0.01),
        (["model.beta_inv=4"], 54.5, 0.03),
        (["model.beta_inv=6"], 41.8, 0.01),
        (["model.beta_inv=12"], 32.8, 0.01),
        (["model.beta_inv=16"], 30.6, 0.01),
        (["model.beta_inv=32"], 28.6, 0.01),
        (["model.fast_input=gray"], 34.1, 0.01),
        (["model.fast_input=time_difference"], 34.2, 0.01),
        (["model.fast_input=optical_flow"], 35.1, 0.01),
        (["model.fast_input=half_resolution", "model.beta_inv=4"], 34.4, 0.05),
    ],
)
def test_ablations_cost_what_the_paper_says(
    settings: list[str], gmacs: float, within: float
) -> None:
    config = load_config("kinetics/slowfast_r50_4x16", settings)
    assert facts_of(config, 256)["gmacs"]["total"] == pytest.approx(gmacs, rel=within)
    assert find_paper(config).gmacs == gmacs


def test_a_model_that_the_paper_lacks_has_no_figure() -> None:
    assert find_paper(load_config("kinetics/slowfast_r50_4x16", ["model.beta_inv=7"])) is None
    assert find_paper(load_config("ava/slowfast_r50_8x8")) is None


@pytest.mark.parametrize("lateral", LATERALS)
@pytest.mark.parametrize("fast_input", list(FAST_INPUTS))
@pytest.mark.parametrize(("num_frames", "height", "width"), [(8, 48, 64), (7, 37, 50), (1, 33, 32)])
def test_every_variant_takes_any_clip(
    tiny_detector, lateral: str, fast_input: str, num_frames: int, height: int, width: int
) -> None:
    settings = {"widths": (8, 8, 16, 16), "lateral": lateral, "fast_input": fast_input}
    model = tiny_detector(stem="conv7", **settings).eval()
    clip = torch.randint(0, 256, (1, num_frames, height, width, 3), dtype=torch.uint8)
    logits = model(clip, torch.tensor([[0, 3.0, 4.0, 30.0, 30.0]]))
    assert logits.shape == (1, 5)
    assert logits.isfinite().all()


def test_time_becomes_channels_frame_by_frame() -> None:
    fast = torch.randn(2, 3, 7, 4, 5)
    slow = torch.zeros(2, 12, 2, 4, 5)
    packed = TimeToChannelConcat(3, alpha=4)(slow, fast)[:, 12:]
    assert packed.shape == (2, 12, 2, 4, 5)
    for frame in range(8):
        step, place = divmod(frame, 4)
        expected = fast[:, :, frame] if frame < 7 else torch.zeros(2, 3, 4, 5)
        assert torch.equal(packed[:, place::4, step], expected)
    assert torch.equal(TimeToChannelSum(alpha=4)(slow, fast), packed)


def test_a_sample_is_of_the_frames_that_slow_sees() -> None:
    fast = torch.arange(8.0).view(1, 1, 8, 1, 1)
    slow = torch.zeros(1, 1, 2, 1, 1)
    for indices, expected in ((spread_indices, [0, 7]), (strided_indices, [0, 4])):
        out = TimeStridedSample(1, alpha=4, indices=indices)(slow, fast)
        assert out[0, 1].flatten().tolist() == expected


def test_a_sum_needs_channels_that_fit(tiny_detector) -> None:
    with pytest.raises(ValueError, match="set alpha to beta_inv"):
        tiny_detector(lateral="time_to_channel_sum", alpha=2)


def test_gray_and_its_difference() -> None:
    frames = torch.randn(1, 3, 4, 5, 6)
    bright = gray(frames)
    expected = 0.299 * frames[:, :1] + 0.587 * frames[:, 1:2] + 0.114 * frames[:, 2:]
    torch.testing.assert_close(bright, expected)
    change = time_difference(frames)
    assert change[:, :, 0].eq(0).all()
    torch.testing.assert_close(change[:, :, 1:], bright[:, :, 1:] - bright[:, :, :-1])


def test_optical_flow_finds_a_shift() -> None:
    torch.manual_seed(0)
    texture = F.interpolate(torch.randn(1, 1, 24, 24), size=(96, 96), mode="bicubic")
    clip = torch.stack([texture.roll((2 * t, 5 * t), (2, 3)) for t in range(3)], dim=2)
    flow = optical_flow(clip.expand(-1, 3, -1, -1, -1))
    assert flow[:, :, 0].eq(0).all()
    middle = flow[0, :, 1:, 24:-24, 24:-24].flatten(1).median(dim=1).values * 20
    torch.testing.assert_close(middle, torch.tensor([5.0, 2.0]), atol=0.3, rtol=0)


@pytest.mark.parametrize("kind", ["dot_product", "softmax"])
def test_a_non_local_block_against_loops(kind: str) -> None:
    torch.manual_seed(0)
    block = NonLocal3d(6, kind, pool=(1, 1, 1)).eval()
    x = torch.randn(1, 6, 2, 2, 3)
    theta, phi, g = (part(x)[0].flatten(1) for part in (block.theta, block.phi, block.g))
    out = torch.zeros_like(theta)
    for p in range(12):
        products = torch.stack([theta[:, p] @ phi[:, q] for q in range(12)])
        weights = (products / 3**0.5).softmax(0) if kind == "softmax" else products / 12
        out[:, p] = (g * weights).sum(1)
    expected = x + block.norm(block.out(out.view(1, 3, 2, 2, 3)))
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)


def test_non_local_blocks_begin_as_nothing(tiny_detector, clips, rois) -> None:
    plain = tiny_detector().eval()
    model = tiny_detector(nonlocal_blocks=((), (), (0,), ())).eval()
    model.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(model(clips, rois), plain(clips, rois))
    with pytest.raises(ValueError, match=r"temporal_depths: .* is more than depths"):
        tiny_detector(temporal_depths=(1, 2, 1, 1))
    with pytest.raises(ValueError, match="a stage of 1 blocks has no 1"):
        tiny_detector(nonlocal_blocks=((), (), (1,), ()))


@pytest.mark.parametrize("over_time", ["mean", "max"])
@pytest.mark.parametrize("over_space", ["mean", "max"])
@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("hidden", [None, 7])
def test_head_variants(rois, over_time: str, over_space: str, context: bool, hidden) -> None:
    torch.manual_seed(0)
    head = RoIHead(
        *([6, 4], 5, [8, 8]),
        over_time=over_time,
        over_space=over_space,
        context=context,
        hidden=hidden,
    ).eval()
    features = [torch.full((2, 6, 3, 6, 8), 2.0), torch.rand(2, 4, 12, 6, 8)]
    first = features[0][:1, :, :, :, :]
    assert head(features, rois).shape == (3, 5)
    if context:  # the second clip's people do not see the first clip
        other = [torch.cat([first + 1, f[1:]]) if i == 0 else f for i, f in enumerate(features)]
        changed = head(other, rois) - head(features, rois)
        assert changed[:2].abs().max() > 0
        assert changed[2].abs().max() == 0


def test_the_clip_head_is_a_mean_over_everything() -> None:
    head = ClipHead([6, 4], 3).eval()
    features = [torch.randn(2, 6, 3, 6, 8), torch.randn(2, 4, 12, 3, 4)]
    pooled = torch.cat([f.mean(dim=(2, 3, 4)) for f in features], dim=1)
    torch.testing.assert_close(head(features), head.classifier(pooled))
