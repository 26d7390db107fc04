"""What `test_save_faults.py` kills."""

from __future__ import annotations

from itertools import count

from torch import nn

from ava_detect.engine.average import WeightAverage
from ava_detect.engine.checkpoint import save_step
from ava_detect.engine.optim import build_optimizer


def save_without_end(folder: str, step: str) -> None:
    """Save checkpoints that are full of their numbers, ``step`` first; print the finished ones.

    An empty line tells that the first is about to begin.
    """
    model = nn.Sequential(*(nn.Linear(512, 512) for _ in range(3)), nn.BatchNorm1d(512))
    optimizer = build_optimizer(model, name="sgd", lr=0.1)
    average = WeightAverage(model, 0.9)
    for parameter in model.parameters():
        parameter.grad = parameter.detach().clone()
    optimizer.step()
    print(flush=True)
    for number in count(int(step)):
        momenta = [state["momentum_buffer"] for state in optimizer.state.values()]
        for value in [*model.state_dict().values(), *average.state.values(), *momenta]:
            value.fill_(number)
        content = {"model": model, "optimizer": optimizer, "average": average}
        save_step(folder, step=number, config="", meta={}, **content)
        print(number, flush=True)
