"""Giving memory back to the system."""

import ctypes
import gc

NEW_OBJECTS = 10_000
"""Containers made and not let go of, after which Python looks through them; by itself, 700."""
LOOKS = 10
"""So many looks make one at what the last of them left, and so many of those one at everything."""


def look_seldom() -> None:
    """Leave out what there is now, and look only when a great deal has come since.

    By itself Python looks at everything again and again while pulls come and wait, however little comes to stay: 50 ms
    for a thousand peers, 0.4 s for a hundred thousand topics. What is deleted leaves no such garbage, and calls
    that fail leave little.
    """
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, LOOKS, LOOKS)


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
