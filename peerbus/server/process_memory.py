"""How the process of a server uses memory and the interpreter."""

import ctypes
import gc
import sys

SWITCH_SECONDS = 0.0005
"""How long one thread may keep the interpreter from the others, in place of Python's 5 ms."""

NEW_OBJECTS = 5000
"""Containers made and not let go of, after which Python looks through them; by itself, 700."""
YOUNG_LOOKS, OLD_LOOKS = 3, 60
"""So many looks make one at what the last of them left, about 5 ms, and so many of those one at everything."""


def look_seldom() -> None:
    """Leave out what there is now, and look only when a great deal has come since.

    By itself Python looks at everything again and again while pulls come and wait, however little comes to stay: 50 ms
    for a thousand peers, 0.4 s for a hundred thousand topics. What is deleted leaves no such garbage, and calls
    that fail leave little.
    """
    leave_out()
    gc.set_threshold(NEW_OBJECTS, YOUNG_LOOKS, OLD_LOOKS)


def leave_out() -> None:
    """Never look again at what there is now; what of it is garbage in cycles at this moment stays."""
    gc.freeze()


def switch_often() -> None:
    """Let the event loop wait for threads that compute for half a millisecond, not for 5."""
    sys.setswitchinterval(SWITCH_SECONDS)


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
