"""Number formats: which one a processor computes fast in, and how to compute in it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Multiply bfloat16 natively, in the words of torch.cpu.get_capabilities and of /proc/cpuinfo.
BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16", "sve_bf16", "svebf16"}


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
    )


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
