"""Giving memory back to the system."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of mallopt(3)."""
LARGE_BLOCK = 1 << 20
KEPT_AT_TOP = 4 << 20

_libc = ctypes.CDLL(None)


def keep_little() -> None:
    """Let the C library, where it is glibc, give back large blocks and the top of each thread's heap at once.

    By itself it would keep up to 64 MiB at the top of each heap, more the larger the blocks it has seen, and
    `trim` does not reach those.
    """
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
        _libc.mallopt(M_TRIM_THRESHOLD, KEPT_AT_TOP)


def trim() -> None:
    """Let the C library give back what it keeps of freed memory, where it is one that keeps it (glibc).

    Messages that come and go leave holes between others; glibc gives back only what lies at the end of its
    heaps (malloc_trim(3)).
    """
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
