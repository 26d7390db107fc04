"""The C library's allocator keeps what is freed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from ava_detect.allocator import keep_freed_memory
print(keep_freed_memory() if sys.argv[1] == "keep" else None)
for settle in range(50):
    np.ones(10_000_000, np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for again in range(5):
    np.ones(10_000_000, np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **environment: str) -> tuple[str, int]:
    """Whether memory is kept, and the pages that the system cleared for five arrays of 40 MB."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    answer, count = done.stdout.split()
    return answer, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc")
def test_freed_memory_is_used_again():
    _, usually = faults("usual")
    answer, kept = faults("keep")
    assert answer == "True"
    assert kept < 0.5 * usually
    assert usually > 1000


@pytest.mark.parametrize(
    "setting", [{"MALLOC_ARENA_MAX": "2"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}]
)
def test_settings_of_the_user_stay(setting):
    answer, _ = faults("keep", **setting)
    assert answer == "False"
