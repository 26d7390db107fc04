"""Number formats: which one a processor computes fast in, and how to compute in it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

import torch
from torch.nn import functional as F

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Multiply bfloat16 natively, in the words of torch.cpu.get_capabilities and of /proc/cpuinfo.
BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16", "sve_bf16", "svebf16"}

TOO_SLOW = 5


def choose_precision(name: str, device: str | torch.device = "cpu") -> torch.dtype:
    """Turn ``auto``, ``float32``, ``bfloat16`` or ``float16`` into a dtype.

    ``auto`` is bfloat16 where ``device`` has instructions for it and float32 elsewhere: without
    them bfloat16 loses by far. Never float16, which many processors only emulate and which
    overflows in training. Raises ``ValueError`` for any other name.
    """
    if name == "auto":
        return torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    if name not in DTYPES:
        raise ValueError(f"precision: expected one of auto, {', '.join(DTYPES)}, got {name!r}")
    return DTYPES[name]


def multiplies_bfloat16(device: str | torch.device = "cpu") -> bool:
    """Whether ``device`` (and torch on it) has instructions for products in bfloat16."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return (
        kind == "cpu"
        and torch.backends.mkldnn.is_available()
        and not BFLOAT16_INSTRUCTIONS.isdisjoint(cpu_instructions())
        and bfloat16_is_quick()
    )


@cache
def bfloat16_is_quick() -> bool:
    """Whether a trial convolution on the CPU is not far slower in bfloat16 than in float32.

    Having the instructions is not enough: oneDNN may be kept from them (``ONEDNN_MAX_CPU_ISA``) or
    lack a kernel, and its stand-ins are a hundred times slower. (What is in between is left to the
    instructions, for a run must not change its numbers with the load of the machine.)
    """
    seconds = {}
    with torch.random.fork_rng(devices=[]):
        x, weight = torch.randn(4, 64, 28, 28), torch.randn(64, 64, 3, 3)
    for dtype in (torch.float32, torch.bfloat16):
        image, kernel = (
            tensor.to(dtype, memory_format=torch.channels_last) for tensor in (x, weight)
        )
        with torch.inference_mode():
            seconds[dtype] = min(_seconds(image, kernel) for _ in range(3))
    return seconds[torch.bfloat16] < TOO_SLOW * seconds[torch.float32]


def _seconds(x: torch.Tensor, weight: torch.Tensor) -> float:
    start = time.perf_counter()
    F.conv2d(x, weight, padding=1)
    return time.perf_counter() - start


def cpu_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Names of the processor's instruction sets; empty where nobody tells."""
    if hasattr(torch.cpu, "get_capabilities"):  # newer than the oldest torch that we support
        return {name for name, has in torch.cpu.get_capabilities().items() if has is True}
    if not cpuinfo.exists():
        return set()
    lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
    flags = (text for key, _, text in lines if key.strip() in ("flags", "Features"))
    return set(next(flags, "").split())


def autocast(dtype: torch.dtype, device: str | torch.device = "cpu") -> AbstractContextManager:
    """Context in which convolutions and matrix products run in ``dtype``."""
    if dtype == torch.float32:
        return full_precision(device)
    return torch.autocast(torch.device(device).type, dtype=dtype)


def full_precision(device: str | torch.device = "cpu") -> AbstractContextManager:
    """Context without autocast, also inside of an ``autocast``."""
    kind = torch.device(device).type
    if not torch.amp.is_autocast_available(kind):  # the meta device
        return nullcontext()
    return torch.autocast(kind, enabled=False)
