"""The C library's allocator in a benchmark: as it is for a peer, as `ava-detect` sets it for us."""

from __future__ import annotations

import ctypes
import platform

from ava_detect import allocator

MMAP_THRESHOLD = -3  # as malloc.h numbers it


def use_ours() -> None:
    """Keep freed memory from now on; RuntimeError where settings of the user forbid it."""
    if platform.libc_ver()[0] == "glibc" and not allocator.keep_freed_memory():
        raise RuntimeError("unset MALLOC_... and GLIBC_TUNABLES to compare allocators")


def use_the_usual() -> None:
    """Give large arrays back, as any program comes to do that has freed a few."""
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(allocator.ARENA_MAX, 0)  # as many as it likes
        mallopt(allocator.MMAP_MAX, 65536)
        mallopt(MMAP_THRESHOLD, 32 << 20)  # as far as glibc raises it by itself, and twice that:
        mallopt(allocator.TRIM_THRESHOLD, 64 << 20)
