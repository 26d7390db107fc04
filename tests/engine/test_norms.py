"""Norms measured over batches are those of all the data at once; nothing else changes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from ava_detect.data.batch import ClipBatch
from ava_detect.engine.norms import lent_norms, measure_norms
from ava_detect.models.network import ActionDetector

SIZES = [(2, 3), (1, 4), (4, 2), (3, 3)]  # clips, frames


class OneNorm(nn.Module):
    """Normalises the pixels as they are."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm3d(3)

    def forward(self, frames, rois):
        return self.norm(pixels(frames))


class SmallNet(nn.Module):
    """Two convolutions with norms and dropout; tells whether dropout was at work."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv3d(3, 4, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(4)
        self.conv2 = nn.Conv3d(4, 5, 1)
        self.norm2 = nn.BatchNorm3d(5, momentum=None)
        self.dropout = nn.Dropout(0.5)
        self.unused = nn.BatchNorm1d(2)
        self.stateless = nn.BatchNorm1d(5, track_running_stats=False)
        self.dropped = []

    def forward(self, frames, rois):
        hidden = self.norm1(self.conv1(pixels(frames))).relu()
        hidden = self.norm2(self.conv2(hidden)).mean(dim=(2, 3, 4))
        hidden = torch.cat([hidden, hidden + 1])  # two rows at least
        out = self.dropout(self.stateless(hidden))
        self.dropped.append(bool((out == 0).any()))
        return out


def pixels(frames):
    """u8[B,T,H,W,3] -> f32[B,3,T,H,W], far from 0: squares cancel if summed carelessly."""
    return frames.permute(0, 4, 1, 2, 3).float() / 255 + 30


def make_batches():
    """Batches of several sizes, each of another brightness, so that their means differ."""
    generator = torch.Generator().manual_seed(0)
    return [
        ClipBatch(
            frames=torch.randint(
                40 * b, 40 * b + 100, (clips, time, 5, 6, 3), dtype=torch.uint8, generator=generator
            ),
            rois=torch.zeros(0, 5),
            labels=None,
            rows=torch.zeros(0, dtype=torch.long),
        )
        for b, (clips, time) in enumerate(SIZES)
    ]


def make_net():
    torch.manual_seed(0)
    return SmallNet()


def state_of(model):
    return {key: value.clone() for key, value in model.state_dict().items()}


def numbers(features):
    """[B,C,T,H,W] of several sizes -> f64[C, all of them]."""
    return torch.cat([f.transpose(0, 1).flatten(1) for f in features], dim=1).double()


def test_one_norm_gets_mean_and_variance_of_all_numbers():
    model = OneNorm()
    measure_norms(model, make_batches())
    every = numbers([pixels(batch.frames) for batch in make_batches()])
    torch.testing.assert_close(model.norm.running_mean, every.mean(1).float())
    expected = every.var(1, correction=0).float()
    torch.testing.assert_close(model.norm.running_var, expected, rtol=1e-4, atol=0)


@torch.no_grad()
def test_each_norm_of_a_net_sees_what_training_shows_it():
    model = make_net()
    measure_norms(model, make_batches())
    firsts = [model.conv1(pixels(batch.frames)) for batch in make_batches()]
    seconds = []
    for first in firsts:  # normalised by its own batch, as in training
        mean, var = numbers([first]).mean(1), numbers([first]).var(1, correction=0)
        shape = (1, -1, 1, 1, 1)
        normalised = (first - mean.view(shape)) / (var.view(shape) + model.norm1.eps).sqrt()
        seconds.append(model.conv2(normalised.relu().float()))
    for norm, inputs in ((model.norm1, firsts), (model.norm2, seconds)):
        every = numbers(inputs)
        torch.testing.assert_close(norm.running_mean, every.mean(1).float(), rtol=1e-4, atol=1e-4)
        expected = every.var(1, correction=0).float()
        torch.testing.assert_close(norm.running_var, expected, rtol=1e-4, atol=1e-5)
    assert (model.unused.running_mean.tolist(), model.unused.running_var.tolist()) == (
        [0, 0],
        [1, 1],
    )


def test_one_batch_leaves_what_evaluation_of_it_needs():
    """In evaluation, norms then do to the batch what they do in training."""
    model, batch = make_net(), make_batches()[0]
    model.dropout.p = 0.0
    measure_norms(model, [batch])
    model.train()
    with lent_norms(model):
        expected = model(batch.frames, batch.rois)
    torch.testing.assert_close(model.eval()(batch.frames, batch.rois), expected)


def test_what_was_measured_before_does_not_count():
    models = [make_net(), make_net()]
    for value in (models[0].norm1.running_mean, models[0].norm1.running_var):
        value.fill_(torch.inf)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(models[0].state_dict(), models[1].state_dict())
    for model in models:
        measure_norms(model, make_batches())
    torch.testing.assert_close(models[0].state_dict(), models[1].state_dict())


@pytest.mark.parametrize("training", [True, False])
def test_only_the_statistics_change(training):
    model = make_net().train(training)
    model.norm2.eval()  # whatever the modes are, they come back
    model.norm1.num_batches_tracked.fill_(7)
    modes = [module.training for module in model.modules()]
    before, random = state_of(model), torch.get_rng_state()

    def batches():  # a DataLoader draws from the global generator
        torch.rand(1)
        yield from make_batches()

    measure_norms(model, batches())
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in model.modules()] == modes
    assert (model.norm1.momentum, model.norm2.momentum) == (0.1, None)
    assert not any(module._forward_hooks for module in model.modules())
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    running = ("running_mean", "running_var")
    assert changed == {f"{norm}.{name}" for norm in ("norm1", "norm2") for name in running}
    assert not any(value.requires_grad for value in model.buffers())
    assert model.dropped == [training] * len(SIZES)


def test_an_error_changes_nothing():
    model = make_net()
    model.norm1.eval()
    before = state_of(model)

    def broken():
        yield make_batches()[0]
        raise OSError("no video")

    with pytest.raises(OSError, match="no video"):
        measure_norms(model, broken())
    torch.testing.assert_close(state_of(model), before, rtol=0, atol=0)
    assert (model.norm1.training, model.norm1.momentum) == (False, 0.1)
    assert not model.norm1._forward_hooks


def test_without_batches_it_says_so():
    model = make_net()
    with pytest.raises(ValueError, match="expected batches"):
        measure_norms(model, [])
    assert model.norm1.running_var.tolist() == [1] * 4


def test_synchronised_norms_are_refused():
    model = nn.SyncBatchNorm.convert_sync_batchnorm(make_net())
    with pytest.raises(ValueError, match="synchronised"):
        measure_norms(model, make_batches())


def test_frozen_norms_stay():
    class Head(nn.Module):
        def forward(self, features, rois):
            return features.mean(dim=(2, 3, 4))

    model = ActionDetector(nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4)), Head())
    model.freeze_norms()
    before = state_of(model)
    measure_norms(model, make_batches())
    torch.testing.assert_close(state_of(model), before, rtol=0, atol=0)
    assert [p.requires_grad for p in model.backbone[1].parameters()] == [False, False]


def test_bfloat16_is_near():
    models = [make_net(), make_net()]
    for model, dtype in zip(models, (torch.float32, torch.bfloat16), strict=True):
        measure_norms(model, make_batches(), dtype=dtype)
    one, other = (model.norm1.running_mean for model in models)
    assert other.dtype == torch.float32
    torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_measures_the_same():
    models = [make_net(), make_net().cuda()]
    random = torch.cuda.get_rng_state()
    for model, device in zip(models, ("cpu", "cuda"), strict=True):
        measure_norms(model, make_batches(), device=device)
    assert torch.equal(torch.cuda.get_rng_state(), random)
    states = [model.cpu().state_dict() for model in models]
    torch.testing.assert_close(*states, rtol=1e-2, atol=1e-2)  # TF32 convolutions


def test_lent_norms_come_back():
    model = make_net()
    model.norm1.eval()
    before = state_of(model)

    def measure_and_train():
        with lent_norms(model):
            measure_norms(model, make_batches())
            model.train()
            model(make_batches()[0].frames, None)
            raise KeyError

    with pytest.raises(KeyError):
        measure_and_train()
    torch.testing.assert_close(state_of(model), before, rtol=0, atol=0)


@pytest.mark.slow
def test_two_processes_measure_as_one(tmp_path):
    """Three batches on one process and one on the other."""
    alone = make_net()
    measure_norms(alone, make_batches())
    root = Path(__file__).parents[2]
    jobs = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), tmp_path],
            env={**os.environ, "PYTHONPATH": str(root)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [job.communicate(timeout=120)[1] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    assert [job.returncode for job in jobs] == [0, 0], errors
    for rank in range(2):
        state = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        torch.testing.assert_close(state, alone.state_dict())


def _measure_share(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group(init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    model = make_net()
    share = slice(0, 3) if rank == 0 else slice(3, 4)
    measure_norms(model, make_batches()[share])
    torch.save(model.state_dict(), folder / f"rank{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    _measure_share(int(sys.argv[1]), Path(sys.argv[2]))
