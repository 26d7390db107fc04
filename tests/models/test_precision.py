"""Which number format `auto` chooses, on processors of all kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ava_detect.models import precision
from ava_detect.models.precision import (
    autocast,
    choose_precision,
    cpu_instructions,
    full_precision,
    multiplies_bfloat16,
)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": True}, torch.bfloat16),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, torch.float32),
        ({"avx2": True, "avx512_f": False, "cpu_name": "bf16"}, torch.float32),
        ({"neon": True, "bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_asks_the_processor(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    monkeypatch.setattr(precision, "bfloat16_is_quick", lambda: True)
    assert choose_precision("auto") == expected
    assert choose_precision("auto", torch.device("cpu")) == expected


def test_auto_wants_kernels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert choose_precision("auto") == torch.float32


@pytest.mark.parametrize(("slower", "expected"), [(1.5, torch.bfloat16), (40, torch.float32)])
def test_auto_wants_quick_kernels(
    monkeypatch: pytest.MonkeyPatch, slower: float, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.setattr(
        precision, "_seconds", lambda x, _: slower if x.dtype == torch.bfloat16 else 1
    )
    precision.bfloat16_is_quick.cache_clear()
    assert choose_precision("auto") == expected
    precision.bfloat16_is_quick.cache_clear()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\nbugs\t\t: x\n",
            {"fpu", "avx2", "avx512_bf16"},
        ),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", {"fp", "asimd", "bf16"}),
        ("processor\t: 0\n", set()),
        (None, set()),
    ],
)
def test_an_older_torch_is_helped_by_the_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, expected: set[str]
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert cpu_instructions(tmp_path / "cpuinfo") == expected


def test_both_sources_agree_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (Path("/proc/cpuinfo").exists() and hasattr(torch.cpu, "get_capabilities")):
        pytest.skip("one source only")
    told = multiplies_bfloat16()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert multiplies_bfloat16() == told


@pytest.mark.parametrize(
    ("supported", "expected"), [(True, torch.bfloat16), (False, torch.float32)]
)
def test_auto_asks_the_gpu(
    monkeypatch: pytest.MonkeyPatch, supported: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert choose_precision("auto", "cuda:0") == expected


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_name_is_taken_at_its_word(name: str) -> None:
    assert choose_precision(name) == getattr(torch, name)


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(ValueError, match=r"expected one of auto, float32.*'fp8'"):
        choose_precision("fp8")


def test_autocast_and_full_precision_nest() -> None:
    a = torch.randn(4, 4)
    with autocast(torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        with full_precision():
            assert (a @ a).dtype == torch.float32
    with autocast(torch.float32):
        assert (a @ a).dtype == torch.float32
