"""The C library's allocator keeps what is freed."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ava_detect.allocator import keep_freed_memory
from tests.forks import Forks


def count_faults(how: str) -> int:
    """Print whether memory is kept, and how many pages are cleared for five arrays of 40 MB."""
    print(keep_freed_memory() if how == "keep" else None)
    for _ in range(50):  # to settle
        torch.ones(10_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(10_000_000)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return 0


@pytest.fixture
def faults(forks: Forks, tmp_path: Path) -> Callable[..., tuple[str, int]]:
    """`count_faults` in a process of its own, with these settings."""

    def faults(how: str, **environment: str) -> tuple[str, int]:
        output = tmp_path / how
        forks.start(output, "tests.test_allocator:count_faults", how, **environment)
        assert forks.wait() == 0, output.read_text()
        answer, count = output.read_text().split()
        return answer, int(count)

    return faults


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc")
@pytest.mark.skipif(
    any(name.startswith(("MALLOC_", "GLIBC_")) for name in os.environ), reason="set"
)
def test_freed_memory_is_used_again(faults) -> None:
    _, usually = faults("usual")
    answer, kept = faults("keep")
    assert answer == "True"
    assert kept < 0.5 * usually
    assert usually > 1000


@pytest.mark.parametrize(
    "setting", [{"MALLOC_ARENA_MAX": "2"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}]
)
def test_settings_of_the_user_stay(faults, setting: dict[str, str]) -> None:
    answer, _ = faults("keep", **setting)
    assert answer == "False"
