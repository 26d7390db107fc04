"""Size and cost of a model: parameters and multiply-adds."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from ava_detect.models.network import ActionDetector


def describe(model: ActionDetector, input: Sequence[int]) -> dict[str, Any]:
    """Count the parameters of ``model`` and its multiply-adds on one clip with one person.

    ``input`` is [3, T, H, W]. Convolutions and matrix products count, normalisation and pooling do
    not, as in the tables of the paper (which are those of classifiers: res5 with stride 2). It
    runs on shapes alone, so a model built under ``torch.device("meta")`` will do.

    Returns ``{"params", "gmacs": {"total", "slow", "fast", "lateral"}, "input"}``, multiply-adds
    in units of 1e9; only ``total`` includes the head.
    """
    _, num_frames, height, width = input
    ghost = copy.deepcopy(model).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), torch.no_grad(), counter:
        ghost(torch.empty(1, num_frames, height, width, 3, dtype=torch.uint8), torch.empty(1, 5))
    counts = counter.get_flop_counts()

    def gmacs(part: str) -> float:  # the counter takes a multiply-add for two operations
        names = [
            name for name in counts if re.fullmatch(rf"ActionDetector\.backbone\.{part}", name)
        ]
        return sum(sum(counts[name].values()) for name in names) / 2e9

    return {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "gmacs": {
            "total": counter.get_total_flops() / 2e9,
            "slow": gmacs(r"slow\.(stem|stages\.\d)"),
            "fast": gmacs(r"fast\.(stem|stages\.\d)"),
            "lateral": gmacs(r"laterals\.\d"),
        },
        "input": list(input),
    }
