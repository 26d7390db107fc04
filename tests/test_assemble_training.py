"""From a config to batches, schedule, loss and norms."""

from __future__ import annotations

import logging

import pytest
import torch

from ava_detect.assemble import (
    build_label_map,
    build_model,
    build_norms,
    build_schedule,
    exclusive_columns,
)
from ava_detect.config import load_config
from ava_eval.errors import InputError


def test_the_rate_scales_with_the_batch_and_the_log_says_how(caplog):
    words = ("optim.batch_size=16", "optim.lr_batch_size=64", "optim.lr=0.1")
    with caplog.at_level(logging.INFO):
        schedule = build_schedule(load_config("ava/slowfast_r50_8x8", words), 1000)
    assert schedule.base_lr == pytest.approx(0.025)
    assert "learning rate 0.025 = 0.1 x 16/64" in caplog.text
    assert "steps of 16 clips (1 processes x 16, 16 at once)" in caplog.text


def test_kinetics_recipe_counts_epochs():
    """The paper's: 1.6 for 1,024 clips, 196 epochs, about 34 of them warm-up."""
    schedule = build_schedule(load_config("kinetics/slowfast_r50_8x8"), 240_000)
    assert schedule.base_lr == pytest.approx(0.1)
    assert (schedule.steps, schedule.warmup_steps) == (196 * 3750, 34 * 3750)
    assert schedule(schedule.steps - 1) < 1e-9


def test_pyslowfasts_twenty_epochs():
    schedule = build_schedule(load_config("ava/slowfast_r50_8x8_20epochs"), 64_000)
    assert (schedule.steps, schedule.warmup_steps) == (20_000, 5_000)
    assert schedule(0) == pytest.approx(0.000125)
    rates = [schedule(step) for step in (9_999, 10_000, 14_999, 15_000, 19_999)]
    assert rates == pytest.approx([0.1, 0.01, 0.01, 0.001, 0.001])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["optim.steps=2000"], ["optim.milestones: 7000, 10500, 12250 not within the 2000 steps"]),
        (["optim.steps=11000"], ["optim.milestones: 12250 not within the 11000 steps"]),
        (["optim.steps=2000", "optim.schedule=cosine"], []),
        (["optim.steps=2000", "optim.milestones=[1000,1500]"], []),
        (
            ["optim.steps=20", "optim.milestones=[]"],
            ["optim.warmup_steps: the warm-up of 1000 steps does not end within the 20 "],
        ),
    ],
)
def test_what_a_shortened_run_never_comes_to_is_told(words, expected, caplog):
    build_schedule(load_config("ava/slowfast_r50_8x8", words), 64_000)
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == len(expected)
    for line, start in zip(told, expected, strict=True):
        assert line.startswith(f"warning: {start}")


def test_exclusive_classes_are_columns_of_the_model():
    config = load_config("demo/ava", ["data.exclusive=[5, 8, 'walk']"])
    label_map = build_label_map(config)
    columns = exclusive_columns(config, label_map)
    assert label_map["action_id"].iloc[columns].tolist() == [5, 8, 14]
    model = build_model(config, len(label_map), columns)
    scores = model.scores(torch.randn(4, len(label_map)))
    torch.testing.assert_close(scores[:, columns].sum(1), torch.ones(4))
    with pytest.raises(InputError, match=r"data\.exclusive: expected ids or names .* got 'wlk'"):
        exclusive_columns(load_config("demo/ava", ["data.exclusive=[wlk]"]), label_map)


def test_synchronised_norms_need_gpus():
    config = load_config("demo/ava", ["optim.batch_norm=synchronised"])
    with pytest.raises(InputError, match=r"optim\.batch_norm: synchronised needs GPUs"):
        build_norms(config, build_model(config, 13), torch.device("cpu"))
