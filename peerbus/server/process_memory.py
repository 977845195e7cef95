"""How the process of a server uses memory and the interpreter."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_SECONDS = 0.0005
"""How long one thread may keep the interpreter from the others, in place of Python's 5 ms."""

NEW_OBJECTS = 2500
"""New container objects after which Python collects the youngest generation; its default is 700."""
YOUNG_COLLECTIONS, OLD_COLLECTIONS = 1, 240
"""Collections of a generation after which the next older one is collected: up to 3 ms, and everything."""


def collect_rarely() -> None:
    """Exclude all present objects from garbage collection, and collect the others rarely.

    With Python's defaults, waiting pulls cause full collections again and again: 50 ms each with a thousand peers,
    0.4 s with a hundred thousand topics. Deleted objects form no reference cycles, and failed calls only few.
    """
    exclude_present()
    gc.set_threshold(NEW_OBJECTS, YOUNG_COLLECTIONS, OLD_COLLECTIONS)


def exclude_present() -> None:
    """Exclude all present objects from garbage collection; reference cycles that are garbage now are never freed."""
    gc.freeze()


@contextmanager
def without_collections() -> Iterator[None]:
    """Collect no garbage meanwhile, nor ever the objects made: for a million topics it takes longer than loading."""
    gc.disable()
    try:
        yield
    finally:
        exclude_present()
        gc.enable()


def collect_all() -> None:
    """Free all garbage, that of excluded objects too, and exclude the rest again: it takes a second for a million."""
    gc.unfreeze()
    gc.collect()
    exclude_present()
    trim()


def switch_often() -> None:
    """Let a thread that computes keep the event loop waiting for half a millisecond, not for 5."""
    sys.setswitchinterval(SWITCH_SECONDS)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of mallopt(3)."""
LARGE_BLOCK = 1 << 20
KEPT_AT_TOP = 4 << 20

_libc = ctypes.CDLL(None)


def keep_little() -> None:
    """Let glibc return large blocks, and the free top of each heap, at once; does nothing for other libraries.

    By default glibc keeps up to 64 MiB at the top of each heap, depending on the largest block so far, and `trim`
    does not return it.
    """
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
        _libc.mallopt(M_TRIM_THRESHOLD, KEPT_AT_TOP)


def trim() -> None:
    """Let glibc return freed memory to the system; does nothing for other libraries.

    Freed messages leave holes between others, and by itself glibc returns only the end of its heaps
    (malloc_trim(3)).
    """
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
