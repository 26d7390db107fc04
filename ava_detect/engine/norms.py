"""Running statistics of batch norms: the same on all processes, or measured anew.

Precise batch norm measures them with today's weights. Training leaves moving averages, whose
batches have seen other weights. Wu and Johnson, "Rethinking 'Batch' in BatchNorm" (2021,
arXiv:2105.07576), section 3, tell what that costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ava_detect.data.batch import ClipBatch
from ava_detect.engine import distributed
from ava_detect.models.precision import autocast


@torch.no_grad()
def measure_norms(
    model: nn.Module,
    batches: Iterable[ClipBatch],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> None:
    """Set the running statistics of the batch norms to those over ``batches``, of all processes.

    Each norm normalises by the batch, as in training. Of batch b, let m be a channel's mean, v its
    population variance and n the count of its numbers; with E the mean over the batches weighted by
    n, ``running_mean = E[m]`` and ``running_var = E[v + m^2] - E[m]^2``: mean and population
    variance of all the numbers together. (fvcore, which PySlowFast uses, has E[v] unless asked.)

    Frozen norms stay as they are. All else of the model, its mode and the state of the random
    generators are afterwards as before: dropout is at work if it was, and disturbs no later draw.
    Processes may have different numbers of batches.
    """
    norms = [] if getattr(model, "frozen_norms", False) else _norms(model)
    if not norms:
        return
    if any(isinstance(norm, nn.SyncBatchNorm) for norm in norms):
        raise ValueError("expected norms over the batch of one process, got synchronised ones")
    device = torch.device(device)
    moments = [_Moments(norm) for norm in norms]
    gpus = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices=gpus),
        lent_norms(model),
        _showing_each_batch(norms),
        _called(norms, moments),
    ):
        for batch in batches:
            batch = batch.to(device)
            with autocast(dtype, device):
                model(batch.frames, batch.rois)
    sizes = [moment.sums.numel() for moment in moments]
    total = distributed.all_reduce_sum(torch.cat([moment.sums.flatten() for moment in moments]))
    if not total.any():
        raise ValueError("expected batches to measure the norms with, got none")
    for norm, sums in zip(norms, total.cpu().split(sizes), strict=True):
        count, first, second = sums.view(3, -1)
        if count.any():  # the forward pass may leave a norm out
            mean = first / count
            _statistics(norm)[0].copy_(mean)
            _statistics(norm)[1].copy_((second / count - mean.square()).clamp(min=0))


@torch.no_grad()
def share_norms(model: nn.Module) -> None:
    """Put the mean of all processes' running statistics into each: each has seen other clips.

    After every step, so that all of them score, save and go on with the same model.
    """
    if distributed.world_size() == 1 or getattr(model, "frozen_norms", False):
        return
    statistics = [statistic for norm in _norms(model) for statistic in _statistics(norm)]
    if not statistics:
        return
    total = distributed.all_reduce_sum(torch.cat(statistics)) / distributed.world_size()
    for own, mean in zip(statistics, total.split([s.numel() for s in statistics]), strict=True):
        own.copy_(mean)


@contextmanager
def lent_norms(model: nn.Module) -> Iterator[None]:
    """Let the block change the running statistics; the model's own return when it ends."""
    own = [(b, b.clone()) for norm in _norms(model) for b in norm.buffers(recurse=False)]
    try:
        yield
    finally:
        for buffer, value in own:
            buffer.copy_(value)


class _Moments:
    """Sums over batches of count, mean and mean square of each channel, the latter times count.

    A forward hook of a norm whose running statistics are those of the batch. In float64, so that
    the difference of large numbers keeps a small variance.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        mean, _ = _statistics(norm)
        self.sums = mean.new_zeros((3, norm.num_features), dtype=torch.float64)

    def __call__(self, norm: _BatchNorm, _: object, output: Tensor) -> None:
        count = output.numel() // norm.num_features
        if count:
            mean, unbiased = (statistic.double() for statistic in _statistics(norm))
            square = unbiased * ((count - 1) / count) + mean.square()
            self.sums += count * torch.stack([torch.ones_like(mean), mean, square])


@contextmanager
def _showing_each_batch(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Norms that normalise by the batch and whose running statistics are those of the last one."""
    before = [(norm, norm.training, norm.momentum) for norm in norms]
    try:
        for norm in norms:
            norm.train()
            norm.momentum = 1.0
            for statistic in _statistics(norm):
                statistic.zero_()  # 0 times what is infinite would stay
        yield
    finally:
        for norm, training, momentum in before:
            norm.train(training)
            norm.momentum = momentum


@contextmanager
def _called(norms: Sequence[_BatchNorm], hooks: Sequence[_Moments]) -> Iterator[None]:
    """Call a hook after each forward pass of its norm."""
    handles = [n.register_forward_hook(hook) for n, hook in zip(norms, hooks, strict=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _norms(model: nn.Module) -> list[_BatchNorm]:
    """The batch norms that keep running statistics."""
    norms = (m for m in model.modules() if isinstance(m, _BatchNorm))
    return [norm for norm in norms if norm.running_mean is not None]


def _statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The buffers of running mean and variance."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var
