"""Models exported to torch.export and ONNX."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ava_detect.inference.export import (
    MIN_SIDE,
    Batch,
    build_scorer,
    largest_difference,
    open_exported,
    require_exportable,
    sample_inputs,
    write_exported,
)
from ava_detect.models.heads import ClipHead, RoIHead
from ava_detect.models.network import ActionDetector
from ava_detect.models.slowfast import SlowFast
from ava_eval.errors import InputError

FRAMES = 8
TOLERANCE = 2e-5  # between scores; those of the tiny models here are far apart
METADATA = {"classes": '[{"id": 1, "name": "st\u00e4nd"}]', "config": "model:\n  alpha: 4\n"}
BATCHES = [
    Batch(clips=1, height=MIN_SIDE, width=MIN_SIDE, boxes=1),
    Batch(clips=3, height=97, width=75, boxes=40),
    Batch(clips=1, height=70, width=129, boxes=0),
    Batch(clips=2, height=66, width=81, boxes=5),
]
TINY = {
    "block": "basic",
    "depths": (1, 1, 1, 1),
    "widths": (8, 8, 8, 8),
    "alpha": 4,
    "beta_inv": 4,
    "stem": "space_to_depth",
    "zero_init": False,
}


def build(head: str = "boxes", exclusive: tuple[int, ...] = (), **settings) -> ActionDetector:
    """A tiny model whose scores differ a lot from box to box, so that a comparison sees much."""
    torch.manual_seed(0)
    backbone = SlowFast(**(TINY | settings))
    channels, strides = backbone.out_channels, backbone.strides
    head_of = ClipHead(channels, 3) if head == "clips" else RoIHead(channels, 3, strides)
    model = ActionDetector(backbone, head_of, exclusive=exclusive)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm3d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.2)
            nn.init.normal_(part.running_mean, std=0.2)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    assert isinstance(model.head.classifier, nn.Linear)
    nn.init.normal_(model.head.classifier.weight)
    return model


def export(model: ActionDetector, path: Path) -> float:
    """Write it and compare; the largest difference."""
    scorer = build_scorer(model)
    require_exportable(model, path)
    write_exported(scorer, FRAMES, path, METADATA)
    run, metadata = open_exported(path)
    assert metadata == METADATA
    return largest_difference(scorer, run, FRAMES, BATCHES)


@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
def test_any_batch_any_size_any_number_of_boxes(suffix: str, tmp_path: Path) -> None:
    model = build(exclusive=(0, 2), pathways="slow", stem="conv7")
    path = tmp_path / f"model.{suffix}"
    assert export(model, path) < TOLERANCE
    # That the comparison is not blind: the half pixel of RoIAlign alone is seen by far.
    run, _ = open_exported(path)
    model.head.aligned = False
    assert largest_difference(build_scorer(model), run, FRAMES, BATCHES) > 1e-2


def test_a_classifier_of_clips_takes_frames_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    assert export(build("clips", pathways="slow", stem="conv7"), path) < TOLERANCE
    scores = open_exported(path)[0](sample_inputs(BATCHES[1], FRAMES, of_boxes=False))
    assert scores.shape == (3, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"head": "clips"},
        {"pathways": "fast"},
        {"stem": "conv7", "res5_stride": 2, "res5_dilation": 1},
        {"fast_input": "half_resolution", "stem": "conv7"},
        {"fast_input": "half_resolution", "stem": "conv7", "lateral": "time_strided_sample"},
        {"fast_input": "gray", "lateral": "time_to_channel_concat"},
        {"fast_input": "time_difference", "lateral": "time_to_channel_sum"},
        {"lateral": "none", "slow_sampling": "strided"},
        {"nonlocal_blocks": ((), (), (0,), (0,)), "res5_stride": 2, "res5_dilation": 1},
        {"nonlocal_blocks": ((), (), (0,), ()), "nonlocal_kind": "softmax"},
    ],
    ids=str,
)
def test_variants(settings: dict, suffix: str, tmp_path: Path) -> None:
    assert export(build(**settings), tmp_path / f"model.{suffix}") < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
def test_variants_of_the_head(suffix: str, tmp_path: Path) -> None:
    model = build()
    model.head = RoIHead(
        model.backbone.out_channels,
        3,
        model.backbone.strides,
        aligned=False,
        over_time="max",
        over_space="mean",
        context=True,
        hidden=5,
    )
    for layer in model.head.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight)
    assert export(model, tmp_path / f"model.{suffix}") < TOLERANCE


def test_the_samples_have_odd_boxes() -> None:
    frames, rois = sample_inputs(BATCHES[1], FRAMES, of_boxes=True)
    assert (frames.dtype, frames.shape) == (np.uint8, (3, FRAMES, 97, 75, 3))
    assert (rois.dtype, rois.shape) == (np.float32, (40, 5))
    assert set(rois[:, 0]) == {0, 1, 2}
    assert (rois[:, 1] < 0).any()
    assert (rois[:, 3] > 75).any()
    assert (rois[:, 3] == rois[:, 1]).any()
    assert (rois[:, 3] < rois[:, 1]).any()


@pytest.mark.parametrize("wrong", [np.nan, 0.25])
def test_a_wrong_model_is_seen(wrong: float) -> None:
    scorer = build_scorer(build())
    changed = _with(scorer, lambda scores: scores + np.float32(wrong))
    difference = largest_difference(scorer, changed, FRAMES, BATCHES)
    assert not difference <= 0.24


def test_scores_of_another_shape_are_seen() -> None:
    scorer = build_scorer(build())
    with pytest.raises(InputError, match=r"answers float32 \[1, 2\]"):
        largest_difference(scorer, _with(scorer, lambda x: x[:, 1:]), FRAMES, BATCHES)


def _with(scorer: nn.Module, change: Callable[[np.ndarray], np.ndarray]) -> Callable:
    return lambda inputs: change(scorer(*map(torch.from_numpy, inputs)).numpy())


def test_what_cannot_be_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"ends in \.onnx or \.pt2, got 'model.pt'"):
        require_exportable(build(), Path("model.pt"))
    with pytest.raises(InputError, match=r"model.fast_input: optical_flow cannot be exported"):
        require_exportable(build(fast_input="optical_flow"), Path("model.pt2"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    require_exportable(build(), Path("model.pt2"))
    with pytest.raises(InputError, match="python -m pip install onnx onnxruntime onnxscript"):
        require_exportable(build(), Path("model.onnx"))
