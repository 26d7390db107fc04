"""Checkpoints: whole, checked, and speaking clearly when they do not fit."""

import logging
import math

import pytest
import torch
from torch import nn

from ava_detect.engine import checkpoint as checkpoints
from ava_detect.engine.average import WeightAverage
from ava_detect.engine.checkpoint import (
    latest,
    load_checkpoint,
    load_weights,
    restore,
    save_checkpoint,
    save_if_best,
    save_step,
    step_path,
)
from ava_detect.engine.optim import build_optimizer
from ava_eval.errors import InputError

CONTENT = {
    "config": "model:\n  alpha: 4\n",
    "meta": {"label_map": [[1, "bend/bow"], [3, "crouch"]]},
}


@pytest.fixture
def saved(tmp_path, toy_model):
    path = tmp_path / "step-00000007.pt"
    optimizer = build_optimizer(toy_model, lr=0.1)
    save_checkpoint(path, model=toy_model, optimizer=optimizer, step=7, **CONTENT)
    return path


def test_everything_comes_back(saved, toy_model):
    checkpoint = load_checkpoint(saved)
    assert (checkpoint.path, checkpoint.step, checkpoint.average) == (saved, 7, None)
    assert {"config": checkpoint.config, "meta": checkpoint.meta} == CONTENT
    assert checkpoint.weights.keys() == toy_model.state_dict().keys()
    for key, value in toy_model.state_dict().items():
        assert torch.equal(checkpoint.weights[key], value), key


def test_averaged_weights_are_the_ones_to_evaluate(tmp_path, toy_model):
    average = WeightAverage(toy_model, 0.9)
    toy_model.classifier.bias.data.fill_(5.0)
    save_checkpoint(tmp_path / "a.pt", model=toy_model, average=average, step=1, **CONTENT)
    checkpoint = load_checkpoint(tmp_path / "a.pt")
    assert torch.equal(checkpoint.weights["classifier.bias"], average.state["classifier.bias"])
    assert torch.equal(checkpoint.model["classifier.bias"], toy_model.classifier.bias)


def test_any_tool_can_read_the_file(saved):
    assert torch.load(saved, weights_only=True)["step"] == 7


def test_every_damaged_byte_is_noticed(saved, tmp_path):
    original = saved.read_bytes()
    broken = tmp_path / "broken.pt"
    for position in range(0, len(original), 97):
        data = bytearray(original)
        data[position] ^= 0x10
        broken.write_bytes(data)
        with pytest.raises(InputError, match=r"broken\.pt: .*SHA-256"):
            load_checkpoint(broken)


@pytest.mark.parametrize("kept", [0, 1, 70, 500, -1])
def test_a_file_cut_short_is_noticed(saved, kept):
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"step-00000007\.pt: cut short"):
        load_checkpoint(saved)


def test_a_file_of_another_tool_is_refused(tmp_path, toy_model):
    torch.save(toy_model.state_dict(), tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"other\.pt: .*not a checkpoint of ours"):
        load_checkpoint(tmp_path / "other.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pt: no such checkpoint"):
        load_checkpoint(tmp_path / "none.pt")


def test_a_newer_format_is_refused(tmp_path, toy_model, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT", 2)
    save_checkpoint(tmp_path / "new.pt", model=toy_model, step=1, **CONTENT)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"new\.pt: written by a newer version"):
        load_checkpoint(tmp_path / "new.pt")


def test_a_failed_write_leaves_the_old_file(saved, toy_model, monkeypatch):
    before = saved.read_bytes()

    def full_disk(*_):
        raise RuntimeError("PytorchStreamWriter failed writing file: file write failed")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(InputError, match=r"step-00000007\.pt: .*could not be written: Pytorch"):
        save_checkpoint(saved, model=toy_model, step=8, **CONTENT)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_meta_that_cannot_be_read_back_is_refused_at_once(tmp_path, toy_model):
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path / "a.pt", model=toy_model, step=1, config="", meta={"a": {1, 2}})
    assert not list(tmp_path.iterdir())


def test_the_last_two_stay_and_leftovers_go(tmp_path, toy_model):
    (tmp_path / "final.pt").write_bytes(b"kept")
    (tmp_path / ".step-00000002-killed.pt").write_bytes(b"half of a file")
    for step in (1, 2, 9, 10, 11):
        save_step(tmp_path, model=toy_model, step=step, **CONTENT)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "final.pt",
        "step-00000010.pt",
        "step-00000011.pt",
    ]


def test_multiples_stay_for_good(tmp_path, toy_model):
    for step in range(1, 10):
        save_step(tmp_path, step=step, keep_last=1, keep_every=4, model=toy_model, **CONTENT)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000004.pt",
        "step-00000008.pt",
        "step-00000009.pt",
    ]


def test_what_is_saved_after_a_damaged_file_stays(tmp_path, toy_model):
    for step in (900, 1000):
        save_step(tmp_path, step=step, model=toy_model, **CONTENT)
    step_path(tmp_path, 1000).write_bytes(b"damaged")
    save_step(tmp_path, step=950, keep_last=1, model=toy_model, **CONTENT)
    assert latest(tmp_path).step == 950
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-00000950.pt",
        "step-00001000.damaged",
    ]


def test_the_best_is_kept_among_those_measured_alike(tmp_path, toy_model):
    def save(figure, measured_by="val"):
        figures = {"mAP": figure, "other": 1 - figure}
        save_if_best(tmp_path, figures, measured_by, step=1, model=toy_model, **CONTENT)
        path = tmp_path / "best.pt"
        return load_checkpoint(path).meta["figures"]["mAP"] if path.is_file() else None

    figures = [save(f) for f in (math.nan, 0.2, 0.5, 0.4, math.nan, 0.6)]
    assert figures == [None, 0.2, 0.5, 0.5, 0.5, 0.6]
    assert save(0.3, "other boxes") == 0.3
    (tmp_path / "best.pt").write_bytes(b"damaged")
    assert save(0.1) == 0.1


def test_latest_falls_back_past_damaged_files(tmp_path, toy_model, caplog):
    assert latest(tmp_path / "no such run") is None
    for step in (1, 2):
        save_step(tmp_path, model=toy_model, step=step, **CONTENT)
    assert latest(tmp_path).step == 2
    step_path(tmp_path, 2).write_bytes(step_path(tmp_path, 2).read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        assert latest(tmp_path).step == 1
    assert "step-00000002.pt: cut short" in caplog.text
    assert "going on from step-00000001.pt" in caplog.text
    step_path(tmp_path, 1).write_bytes(b"")
    with pytest.raises(InputError, match=r"step-00000001\.pt"):  # never silently from the start
        latest(tmp_path)


def wider(model):
    model.classifier = nn.Linear(8, 5)


def renamed(model):
    model.top = model.classifier
    del model.classifier


def extended(model):
    model.top = nn.Linear(8, 2)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (wider, r"a\.pt: classifier\.weight: the model has \(5, 8\), the file \(3, 8\); use the"),
        (renamed, r"a\.pt: top\.weight: the model has \(3, 8\), the file no such tensor;"),
        (extended, r"a\.pt: top\.weight: the model has \(2, 8\), the file no such tensor;"),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named(change, expected, toy_model):
    state = {key: value.clone() for key, value in toy_model.state_dict().items()}
    change(toy_model)
    with pytest.raises(InputError, match=expected):
        load_weights(toy_model, state, "a.pt")


def test_a_tensor_too_many_is_named(toy_model):
    state = {**toy_model.state_dict(), "old": torch.zeros(4)}
    with pytest.raises(
        InputError, match=r"a\.pt: old: the model has no such tensor, the file \(4,"
    ):
        load_weights(toy_model, state, "a.pt")


@pytest.mark.parametrize(
    ("saved_with", "resumed_with", "expected"),
    [
        ({"optimizer": None}, {}, "holds no optimizer"),
        ({}, {"optimizer": "adamw"}, "saved by the optimizer SGD; resume with"),
        ({}, {"average": True}, "saved without averaged weights; resume with"),
        ({"average": True}, {}, "saved with averaged weights; resume with"),
    ],
)
def test_a_run_of_another_kind_is_not_resumed(
    saved_with, resumed_with, expected, tmp_path, toy_model
):
    def parts(optimizer="sgd", average=False):
        return {
            "optimizer": optimizer and build_optimizer(toy_model, name=optimizer, lr=0.1),
            "average": WeightAverage(toy_model, 0.9) if average else None,
        }

    path = tmp_path / "a.pt"
    save_checkpoint(path, model=toy_model, step=1, **parts(**saved_with), **CONTENT)
    before = toy_model.classifier.bias.detach().clone()
    checkpoint = load_checkpoint(path)
    checkpoint.model["classifier.bias"] += 1
    with pytest.raises(InputError, match=rf"a\.pt: {expected}"):
        restore(checkpoint, model=toy_model, **parts(**resumed_with))
    assert torch.equal(toy_model.classifier.bias, before)
