from __future__ import annotations

import pytest
import torch

from ava_detect.proposals.training import Fitting, require_finite
from ava_eval.errors import InputError


def test_the_rate_is_warmed_up_and_falls_along_a_cosine():
    fitting = Fitting(steps=100)
    assert fitting.rate(0) == pytest.approx(0.01)
    assert fitting.rate(2) == pytest.approx(0.41, abs=0.01)
    assert fitting.rate(50) == pytest.approx(0.505)
    assert fitting.rate(100) == pytest.approx(0.01)


def test_the_rate_falls_at_milestones():
    fitting = Fitting(steps=100, milestones=(40, 80), warmup_steps=0)
    assert [fitting.rate(step) for step in (0, 39, 40, 79, 80, 99)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_biases_and_norms_do_not_decay(name):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    optimizer, _ = Fitting(steps=1, optimizer=name, weight_decay=0.5).build_optimizer(model)
    decayed = {id(p) for g in optimizer.param_groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(model[0].weight)}
    assert type(optimizer).__name__.lower() == name


def test_a_loss_that_is_not_finite_is_refused():
    assert require_finite(1.5, 3, 0.1) == 1.5
    with pytest.raises(InputError, match=r"got 0.1 and a loss of nan at step 3; lower it"):
        require_finite(float("nan"), 3, 0.1)
