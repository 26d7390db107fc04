from __future__ import annotations

import copy
import logging

import pytest
import torch
from torch import nn

from ava_detect.assemble import build_model
from ava_detect.config import load_config
from ava_detect.inference import kernels, onednn
from ava_detect.inference.fast import FastModel, prepare
from ava_detect.models.network import ActionDetector
from ava_detect.models.nonlocal_block import NonLocal3d
from ava_detect.models.resnet3d import ConvNorm

SMALL = ["model.depths=[1, 2, 1, 1]", "model.widths=[16, 24, 32, 40]", "data.num_frames=8"]
DEPTHS = ("model.temporal_depths=null", "model.fast_temporal_depths=null")
ROIS = torch.tensor(
    [[0, 5, 5, 40, 50], [1, 0, 0, 47, 39], [1, 30, 10, 20, 5], [0, -9, 3, 90, 99.0]]
)


def build(recipe: str, *settings: str) -> ActionDetector:
    """A small model whose norms are as a training leaves them."""
    torch.manual_seed(0)
    model = build_model(load_config(recipe, [*SMALL, *settings]), 7).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            for name in ("weight", "running_var"):
                nn.init.uniform_(getattr(module, name), 0.6, 1.4)
            for name in ("bias", "running_mean"):
                nn.init.uniform_(getattr(module, name), -0.2, 0.2)
    return model


def frames(batch: int = 2, time: int = 8, height: int = 40, width: int = 48) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (batch, time, height, width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.fixture(params=["private", "public"])
def route(request, monkeypatch):
    """Both ways to compute: with oneDNN's fused calls, and without."""
    available = onednn.is_available if request.param == "private" else lambda _dtype: False
    monkeypatch.setattr(kernels, "is_available", available)
    return request.param


MODELS = {
    "bottlenecks": ("ava/slowfast_r50_8x8",),
    "basic blocks": ("demo/ava", "model.alpha=4"),
    "wide products": ("ava/slowfast_r50_8x8", "model.widths=[8, 16, 128, 136]"),
    "odd Fast widths": ("ava/slowfast_r50_4x16", "model.beta_inv=6", "model.alpha=4"),
    "non-local": (
        "ava/slowfast_r101_8x8_nl", "model.nonlocal_blocks=[[], [1], [], []]", *DEPTHS,
    ),
    "softmax": (
        "ava/slowfast_r101_8x8_nl", "model.nonlocal_blocks=[[], [1], [], []]", *DEPTHS,
        "model.nonlocal_kind=softmax",
    ),
    "slow": ("ava/slow_r50_4x16",),
    "fast": ("kinetics/fast_r50_4x16",),
    "clip head": ("kinetics/slowfast_r50_8x8",),
    "bare lateral": ("ava/slowfast_r50_8x8", "model.fusion_norm=false"),
    "no lateral": ("ava/slowfast_r50_8x8", "model.lateral=none"),
    "samples": ("ava/slowfast_r50_8x8", "model.lateral=time_strided_sample"),
    "channels": ("ava/slowfast_r50_8x8", "model.lateral=time_to_channel_concat"),
    "gray": ("ava/slowfast_r50_8x8", "model.fast_input=gray"),
    "half": ("ava/slowfast_r50_8x8", "model.fast_input=half_resolution"),
}  # fmt: skip


def test_a_prepared_model_is_one_graph_to_compile():
    settings = "model.depths=[1, 1, 1, 1]", "model.nonlocal_blocks=[[], [0], [], []]"
    fast = prepare(build(*MODELS["non-local"], *settings))
    compiled = torch.compile(fast, fullgraph=True, backend="eager")
    with torch.inference_mode():
        for time in (8, 6):
            clips = frames(time=time)
            torch.testing.assert_close(compiled(clips, ROIS), fast(clips, ROIS))


@pytest.mark.parametrize("name", MODELS)
def test_a_prepared_model_scores_as_it_did(route, name):
    model = build(*MODELS[name])
    fast = prepare(model)
    assert not any(isinstance(m, nn.BatchNorm3d | ConvNorm | NonLocal3d) for m in fast.modules())
    for clips in (frames(), frames(height=33, width=47), frames(time=6)):
        with torch.inference_mode():
            wanted = model.backbone(model.normalise(clips))
            got = fast.backbone(fast.normalise(clips))
            for one, other in zip(got, wanted, strict=True):
                assert other.abs().max() > 0.1
                torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5 * other.abs().max())
            torch.testing.assert_close(fast(clips, ROIS), model(clips, ROIS), rtol=1e-4, atol=1e-5)


def test_clips_of_a_batch_do_not_touch_each_other(route):
    fast, clips = prepare(build("ava/slowfast_r50_8x8")), frames()
    with torch.inference_mode():
        together = fast(clips, ROIS)
        rois = ROIS[ROIS[:, 0] == 1].clone()
        rois[:, 0] = 0
        alone = fast(clips[1:], rois)
    torch.testing.assert_close(together[ROIS[:, 0] == 1], alone, rtol=1e-4, atol=1e-5)


def test_the_model_itself_stays_as_it_was():
    model = build("demo/ava").train()
    before = copy.deepcopy(model.state_dict())
    fast = FastModel(model, torch.bfloat16)
    with torch.inference_mode():
        fast(frames(), ROIS)
    assert model.training
    assert not fast.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert any(p.requires_grad for p in model.parameters())
    assert not {id(p) for p in fast.parameters()} & {id(p) for p in model.parameters()}


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)], ids=str
)
def test_sixteen_bits_score_nearly_the_same(dtype, tolerance):
    model = build("ava/slowfast_r50_8x8")
    fast = FastModel(model, dtype)
    with torch.inference_mode():
        logits = fast(frames(), ROIS)
        assert logits.dtype == torch.float32
        difference = (fast.scores(logits) - model.scores(model(frames(), ROIS))).abs().max()
    assert 0 < difference < tolerance


def test_where_float16_overflows_float32_goes_on(caplog):
    model = build("demo/ava")
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.weight.mul_(40)
    fast = FastModel(model, torch.float16)
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        for _ in range(2):
            torch.testing.assert_close(
                fast(frames(), ROIS), model(frames(), ROIS), rtol=1e-3, atol=1e-3
            )
    assert fast.dtype == torch.float32
    assert caplog.text.count("overflows") == 1


def test_a_private_operator_that_errs_is_not_used(monkeypatch):
    def wrong(x, *_rest):
        return x * 0

    onednn.is_available.cache_clear()
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", wrong, raising=False)
    assert not onednn.is_available(torch.float32)
    onednn.is_available.cache_clear()


def test_a_private_operator_that_is_gone_is_not_used(monkeypatch):
    def gone(*_rest):
        raise AttributeError("no such operator")

    onednn.is_available.cache_clear()
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_convolution_weight", gone, raising=False)
    assert not onednn.is_available(torch.float32)
    onednn.is_available.cache_clear()
