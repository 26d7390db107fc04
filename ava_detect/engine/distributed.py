"""The only file that knows ``torch.distributed``: one process is the same code, without any set-up.

``joined`` meets the processes that torchrun has started; the default backend takes tensors of the
CPU and of the GPU alike, which these functions rely on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

# One may be done long before another. (torchrun ends those that wait for one that died.)
PATIENCE = timedelta(days=1)


@contextmanager
def joined() -> Iterator[None]:
    """Work with the other processes that torchrun has started, each with a GPU of its own if any.

    Alone, nothing happens. After an error this process just ends: torchrun ends the others, which
    may wait for it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group(timeout=PATIENCE)
    yield
    dist.barrier()  # one that leaves while another still talks to it can end both with an abort
    dist.destroy_process_group()


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
    A parameter without gradient counts as zero, so that all processes reduce the same numbers;
    these travel together, for each message takes its time.
    """
    if world_size() == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    for some in _by_kind(grads):
        total = torch.cat([grads[place].flatten() for place in some])
        dist.all_reduce(total)
        parts = total.split([grads[place].numel() for place in some])
        for place, part in zip(some, parts, strict=True):
            grads[place].copy_(part.view(grads[place].shape))
    for parameter, grad in zip(trained, grads, strict=True):
        parameter.grad = grad


def _by_kind(tensors: list[torch.Tensor]) -> list[list[int]]:
    """The places of tensors of one type and device each."""
    kinds: dict[tuple[torch.dtype, torch.device], list[int]] = {}
    for place, tensor in enumerate(tensors):
        kinds.setdefault((tensor.dtype, tensor.device), []).append(place)
    return list(kinds.values())
