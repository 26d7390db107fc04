"""Optimizer, schedule and averaged weights against hand-made numbers."""

import math

import pytest
import torch
from torch import nn

from ava_detect.engine.average import WeightAverage
from ava_detect.engine.optim import LRSchedule, build_optimizer, set_learning_rate


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        ("adamw", torch.optim.AdamW, {"betas": (0.9, 0.999)}),
    ],
)
def test_norms_and_biases_decay_on_their_own(name, kind, expected, toy_model):
    toy_model.hidden.weight.requires_grad_(False)
    optimizer = build_optimizer(
        toy_model, name=name, lr=0.3, momentum=0.8, weight_decay=0.01, norm_weight_decay=0.002
    )
    assert type(optimizer) is kind
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert {key: decays.get(id(p)) for key, p in toy_model.named_parameters()} == {
        "hidden.weight": None,
        "hidden.bias": 0.002,
        "norm.weight": 0.002,
        "norm.bias": 0.002,
        "classifier.weight": 0.01,
        "classifier.bias": 0.002,
    }
    for group in optimizer.param_groups:
        assert {key: group[key] for key in expected} == expected


def test_sgd_takes_the_nesterov_steps_of_its_definition():
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(2.0)
    optimizer = build_optimizer(model, lr=0.1, momentum=0.9, weight_decay=0.5)
    weight, velocity = 2.0, 0.0
    for lr in (0.1, 0.05):
        set_learning_rate(optimizer, lr)
        optimizer.zero_grad()
        model(torch.ones(1, 1)).sum().backward()
        optimizer.step()
        gradient = 1 + 0.5 * weight
        velocity = 0.9 * velocity + gradient
        weight -= lr * (gradient + 0.9 * velocity)
    assert model.weight.item() == pytest.approx(weight, rel=1e-6)


def test_plain_sgd_needs_no_nesterov(toy_model):
    optimizer = build_optimizer(toy_model, lr=0.1, momentum=0.0)
    assert not optimizer.param_groups[0]["nesterov"]


def test_unknown_names_are_refused(toy_model):
    with pytest.raises(ValueError, match="'adam'; expected 'sgd' or 'adamw'"):
        build_optimizer(toy_model, name="adam", lr=0.1)
    with pytest.raises(ValueError, match="'linear'; expected 'cosine' or 'steps'"):
        LRSchedule("linear", 1.0, 10)(0)


COSINE = LRSchedule("cosine", 1.6, 100)
WARM_COSINE = LRSchedule("cosine", 2.0, 100, warmup_steps=50, warmup_start=0.25)
STEPS = LRSchedule("steps", 0.1, 20, warmup_steps=5, milestones=(10, 15), gamma=0.1)


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        (COSINE, 0, 1.6),
        (COSINE, 25, 1.6 * 0.5 * (math.cos(math.pi / 4) + 1)),
        (COSINE, 50, 0.8),
        (COSINE, 100, 0.0),
        (WARM_COSINE, 0, 0.5),
        (WARM_COSINE, 25, 0.75),  # halfway from 0.5 to what the cosine is at the end of warm-up
        (WARM_COSINE, 50, 1.0),
        (STEPS, 0, 0.01),
        (STEPS, 4, 0.01 + 0.09 * 4 / 5),
        (STEPS, 5, 0.1),
        (STEPS, 9, 0.1),
        (STEPS, 10, 0.01),
        (STEPS, 15, 0.001),
        (STEPS, 19, 0.001),
    ],
)
def test_learning_rate(schedule, step, expected):
    assert schedule(step) == pytest.approx(expected, abs=1e-12)


def test_average_follows_its_formula_and_lends_its_weights(toy_model):
    average = WeightAverage(toy_model, decay=0.5)
    values = []
    for step, value in ((1, 1.0), (100, 3.0)):
        toy_model.classifier.bias.data.fill_(value)
        toy_model.norm.running_mean.fill_(value)
        toy_model.norm.num_batches_tracked.fill_(step)
        before = average.state["classifier.bias"].clone()
        average.update(toy_model, step)
        decay = min(0.5, (1 + step) / (10 + step))
        torch.testing.assert_close(
            average.state["classifier.bias"], decay * before + (1 - decay) * value
        )
        values.append(average.state["norm.running_mean"][0].item())
    assert values == pytest.approx([9 / 11, 0.5 * 9 / 11 + 0.5 * 3])

    with average.applied(toy_model):
        assert toy_model.norm.running_mean[0].item() == pytest.approx(values[1])
        assert toy_model.norm.num_batches_tracked == 100
    assert toy_model.norm.running_mean[0] == 3.0
    assert average.state["norm.running_mean"][0].item() == pytest.approx(values[1])
