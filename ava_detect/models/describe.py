"""Size and cost of a model: parameters and multiply-adds."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ava_detect.models.network import ActionDetector


def describe(model: ActionDetector, input: Sequence[int]) -> dict[str, Any]:
    """Count the parameters of ``model`` and its multiply-adds on one clip with one person.

    ``input`` is [3, T, H, W]. Convolutions and linear layers count, normalisation and pooling do
    not, as in the tables of the paper (which are those of classifiers: res5 with stride 2). It
    runs on shapes alone, so a model built under ``torch.device("meta")`` will do.

    Returns ``{"params", "gmacs": {"total", "slow", "fast", "lateral"}, "input"}``, multiply-adds
    in units of 1e9; only ``total`` includes the head.
    """
    _, num_frames, height, width = input
    counts: Counter[str] = Counter()
    ghost = copy.deepcopy(model).to("meta").eval()
    for name, layer in ghost.named_modules():
        if isinstance(layer, nn.Conv3d | nn.Linear):
            layer.register_forward_hook(partial(_count, counts, name))
    with torch.device("meta"), torch.no_grad():
        ghost(torch.empty(1, num_frames, height, width, 3, dtype=torch.uint8), torch.empty(1, 5))
    return {
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "gmacs": {
            "total": counts.total() / 1e9,
            "slow": _under("backbone.slow.", counts) / 1e9,
            "fast": _under("backbone.fast.", counts) / 1e9,
            "lateral": _under("backbone.laterals.", counts) / 1e9,
        },
        "input": list(input),
    }


def _count(
    counts: Counter[str], name: str, layer: nn.Conv3d | nn.Linear, _: tuple, output: Tensor
) -> None:
    counts[name] += output.numel() * layer.weight[0].numel()


def _under(prefix: str, counts: Counter[str]) -> int:
    return sum(count for name, count in counts.items() if name.startswith(prefix))
