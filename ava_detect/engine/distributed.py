"""The only file that knows ``torch.distributed``: one process is the same code, without any set-up.

Whoever starts several processes (torchrun) calls ``torch.distributed.init_process_group()`` before;
its default backend takes tensors of the CPU and of the GPU alike, which these functions rely on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist


def _started() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Number of this process, 0 when it is alone."""
    return dist.get_rank() if _started() else 0


def world_size() -> int:
    """How many processes work together, 1 when this one is alone."""
    return dist.get_world_size() if _started() else 1


def is_main() -> bool:
    """Whether this is the one process that writes files and speaks."""
    return rank() == 0


def all_reduce_sum(tensor: torch.Tensor) -> torch.Tensor:
    """Sum of ``tensor`` over all processes, on each of them; the argument stays as it is."""
    if world_size() == 1:
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total


def any_rank(flag: bool) -> bool:
    """Whether ``flag`` holds on at least one process: the same answer on all of them."""
    return bool(all_reduce_sum(torch.tensor(int(flag))) > 0)


def gather_objects(value: Any) -> list[Any]:
    """The ``value`` of every process, in the order of ranks, on each of them."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Add up the gradients of all processes in place.

    A sum, not a mean: each process has already divided its loss by the people of all of them.
    A parameter without gradient counts as zero, so that all processes reduce the same tensors.
    """
    if world_size() == 1:
        return
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
