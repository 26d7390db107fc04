"""The C library's memory allocator, set for tensors."""

from __future__ import annotations

import ctypes
import os

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # as malloc.h numbers them
LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process use freed memory again; whether the C library could be told so.

    glibc gives the memory of large arrays back to the system and asks for it anew, which clears it
    page by page for each activation of a model. One pool for all threads, for several grow apart
    over hours. Settings of the user's own (``MALLOC_...``, ``GLIBC_TUNABLES``; see mallopt(3))
    are left alone, as are other C libraries.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "GLIBC_TUNABLES" in os.environ:
        return False
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError, ValueError):
        return False  # macOS, musl, Windows
    settings = {TRIM_THRESHOLD: LARGEST, MMAP_MAX: 0, ARENA_MAX: 1}
    return all(mallopt(name, value) == 1 for name, value in settings.items())
