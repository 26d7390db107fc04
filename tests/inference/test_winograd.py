"""Winograd's convolutions beside the plain ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ava_detect.inference import kernels
from ava_detect.inference.winograd import WinogradSpace, WinogradTime, line_maps, transforms

GENERATOR = torch.Generator().manual_seed(0)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR)


def spread(x: torch.Tensor) -> float:
    """The root mean square."""
    return float(x.double().pow(2).mean().sqrt())


@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("batch", [1, 2])
def test_over_time_is_the_plain_convolution(batch, length):
    x, weight, bias = noise(batch, length, 5, 6, 70), noise(30, 70, 3) / 15, noise(30)
    clip, kernel = x.permute(0, 4, 1, 2, 3), weight[..., None, None]
    exact = F.conv3d(clip.double(), kernel.double(), bias.double(), padding=(1, 0, 0))
    got = WinogradTime(weight.permute(2, 1, 0), bias)(x)
    assert got.is_contiguous()
    assert spread(exact) > 0.5
    assert spread(got.permute(0, 4, 1, 2, 3) - exact) < 1e-6


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (4, 8), (16, 22), (13, 5)])
def test_over_space_is_the_plain_convolution(size, dilation):
    x, weight, bias = noise(2, 3, *size, 40), noise(30, 40, 3, 3) / 19, noise(30)
    frames = x.flatten(0, 1).permute(0, 3, 1, 2)
    exact = F.conv2d(
        frames.double(), weight.double(), bias.double(), padding=dilation, dilation=dilation
    )
    got = WinogradSpace(weight, bias, dilation)(x)
    assert got.is_contiguous()
    assert spread(exact) > 0.5
    assert spread(got.flatten(0, 1).permute(0, 3, 1, 2) - exact) < 1e-6


@pytest.mark.parametrize("size", [(49, 7), (60, 80), (5, 163), (97, 101)])
def test_large_frames_are_cut_into_blocks(size):
    x, weight, bias = noise(2, *size, 40), noise(30, 40, 3, 3) / 19, noise(30)
    exact = F.conv2d(x.permute(0, 3, 1, 2).double(), weight.double(), bias.double(), padding=1)
    got = WinogradSpace(weight, bias, 1)(x).permute(0, 3, 1, 2)
    assert got.shape == exact.shape
    assert float((got - exact).abs().max()) < 2e-5


def test_it_rounds_nearly_as_finely():
    x, weight = noise(1, 1, 16, 22, 256), noise(256, 256, 3, 3) / 48
    frames = x[0].permute(0, 3, 1, 2)
    exact = F.conv2d(frames.double(), weight.double(), padding=1)
    error = WinogradSpace(weight, None, 1)(x)[0].permute(0, 3, 1, 2) - exact
    plain_error = F.conv2d(frames, weight, padding=1) - exact
    assert spread(error) < 3 * spread(plain_error)


def test_without_a_bias():
    x, weight = noise(1, 4, 6, 6, 8), noise(8, 8, 3, 3)
    zero = WinogradSpace(weight, torch.zeros(8), 1)(x)
    torch.testing.assert_close(WinogradSpace(weight, None, 1)(x), zero)


def test_the_transforms_hold_for_numbers():
    of_kernel, of_inputs, of_outputs = transforms()
    inputs, kernel = noise(6).double(), noise(3).double()
    outputs = of_outputs @ ((of_kernel @ kernel) * (of_inputs @ inputs))
    torch.testing.assert_close(outputs, inputs.unfold(0, 3, 1) @ kernel)


TAKEN = {
    "frames": ((512, 16, (3, 1, 1)), {"padding": (1, 0, 0)}, (512, 8, 6, 6), WinogradTime),
    "few frames": ((512, 16, (3, 1, 1)), {"padding": (1, 0, 0)}, (512, 2, 4, 4), None),
    "five taps": ((512, 16, (5, 1, 1)), {"padding": (2, 0, 0)}, (512, 8, 4, 4), None),
    "3x3": ((256, 256, (1, 3, 3)), {"padding": (0, 1, 1)}, (256, 12, 8, 12), WinogradSpace),
    "dilated": (
        (256, 256, (1, 3, 3)), {"padding": (0, 2, 2), "dilation": (1, 2, 2)}, (256, 4, 16, 16),
        WinogradSpace,
    ),
    "smaller": ((256, 256, (1, 3, 3)), {}, (256, 2, 8, 12), None),
    "strided": ((256, 256, (1, 3, 3)), {"padding": (0, 1, 1), "stride": (1, 2, 2)},
                (256, 2, 8, 12), None),
    "thin": ((64, 256, (1, 3, 3)), {"padding": (0, 1, 1)}, (64, 2, 8, 12), None),
    "large": ((256, 256, (1, 3, 3)), {"padding": (0, 1, 1)}, (256, 2, 8, 100), WinogradSpace),
    "large dilated": (
        (256, 256, (1, 3, 3)), {"padding": (0, 2, 2), "dilation": (1, 2, 2)}, (256, 1, 8, 100),
        None,
    ),
    "tiny": ((256, 256, (1, 3, 3)), {"padding": (0, 1, 1)}, (256, 1, 2, 2), None),
    "few cells": ((256, 256, (1, 3, 3)), {"padding": (0, 1, 1)}, (256, 1, 8, 12), None),
    "many frames": ((512, 16, (3, 1, 1)), {"padding": (1, 0, 0)}, (512, 20, 4, 4), None),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_taken_where_it_is_shorter(name, monkeypatch):
    sizes, settings, shape, wanted = TAKEN[name]
    taken = []
    for kind in (WinogradTime, WinogradSpace):
        call = kind.__call__
        monkeypatch.setattr(
            kind, "__call__", lambda self, x, call=call: taken.append(type(self)) or call(self, x)
        )
    torch.manual_seed(0)
    conv = nn.Conv3d(*sizes, **settings)
    x = noise(1, *shape).to(memory_format=torch.channels_last_3d)
    with torch.inference_mode():
        got, plain = kernels.FoldedConv(conv, None, relu=True)(x), conv(x).relu()
    assert taken == ([wanted] if wanted else [])
    torch.testing.assert_close(got, plain, rtol=1e-4, atol=1e-5)


def test_sixteen_bits_go_without_it(monkeypatch):
    monkeypatch.setattr(WinogradSpace, "__call__", lambda _self, _x: pytest.fail("was taken"))
    conv = kernels.FoldedConv(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1)), None, relu=False)
    with torch.inference_mode():
        with torch.autocast("cpu", torch.bfloat16):
            conv(noise(1, 256, 16, 8, 8))
        y = conv.to(torch.bfloat16)(noise(1, 256, 16, 8, 8))
    assert y.dtype == torch.bfloat16


def test_new_weights_are_used():
    conv = kernels.FoldedConv(nn.Conv3d(512, 4, (3, 1, 1), padding=(1, 0, 0)), None, relu=False)
    x = noise(1, 512, 8, 6, 6)
    with torch.inference_mode():
        before = conv(x)
        conv.weight = nn.Parameter(conv.weight * 2, requires_grad=False)
        conv.bias = None
        after = conv(x)
    assert not torch.allclose(before, after, rtol=0.1)


def test_many_frames_are_done_in_parts(monkeypatch):
    x, weight = noise(40, 1, 7, 7, 16), noise(8, 16, 3, 3)
    whole = WinogradSpace(weight, None, 1)(x)
    monkeypatch.setattr("ava_detect.inference.winograd.ROWS_AT_ONCE", 30)
    torch.testing.assert_close(WinogradSpace(weight, None, 1)(x), whole)


def test_what_inference_mode_kept_is_of_use_to_autograd():
    line_maps.cache_clear()
    transforms.cache_clear()
    convs = [
        WinogradTime(noise(3, 8, 8), None), WinogradSpace(noise(8, 8, 3, 3), None, 1),
    ]  # fmt: skip
    for conv in convs:
        x = noise(1, 8, 5, 6, 8)
        with torch.inference_mode():
            conv(x)
        x.requires_grad_()
        conv(x).sum().backward()
        assert x.grad is not None
        assert x.grad.abs().max() > 0
