"""Giving memory back to the system."""

import ctypes

_libc = ctypes.CDLL(None)


def trim() -> None:
    """Let the C library give back what it keeps of freed memory, where it is one that keeps it (glibc).

    Messages that come and go leave holes between others; glibc gives back only what lies at the end of its
    heaps (malloc_trim(3)).
    """
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
