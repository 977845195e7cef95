"""How long clients may take, and how much memory the bodies that come may fill."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

LEAST_SECONDS = 0.5
"""Time that a large body has at least, however many others wait for memory."""
CHECK_SECONDS = 0.1
"""Time between two checks for slow senders while others wait for memory."""


class Timeouts(NamedTuple):
    """Seconds that a client may take: for the head of its first request, for a body, and to make a further request."""

    head: float = 30.0
    body: float = 30.0
    idle: float = 75.0
    """Longer than proxies keep idle connections (60 for nginx and AWS): they must not send while the server closes."""


TIMEOUTS = Timeouts()


class Claim:
    """Memory that one body may fill. A claim waits until it is granted."""

    __slots__ = ("cut_off", "granted", "is_granted", "since", "size")

    def __init__(self, size: int, granted: Callable[[], None], cut_off: Callable[[], None]) -> None:
        self.size = size
        self.granted = granted
        self.cut_off = cut_off
        self.is_granted = False
        self.since = 0.0


class BodyMemory:
    """Bounds the memory of all large bodies that come at one time.

    Claims are granted in their order, as memory is free. While claims wait, the bodies that have been coming for the
    longest time are cut off, each after `LEAST_SECONDS`: slow senders cannot keep others out.
    """

    def __init__(self, events: asyncio.AbstractEventLoop, limit: int) -> None:
        """`limit` is in bytes; a claim on more is a claim on all of it."""
        self._events = events
        self._limit = self._free = limit
        self._granted: dict[Claim, None] = {}
        self._waiting: deque[Claim] = deque()
        self._is_checking = False

    def claim(self, size: int, granted: Callable[[], None], cut_off: Callable[[], None]) -> Claim:
        """Claim memory for a body of `size` bytes.

        `granted` is called when the body may come, possibly before this returns, and `cut_off` if it takes too long.
        """
        claim = Claim(min(size, self._limit), granted, cut_off)
        self._waiting.append(claim)
        self._grant()
        if self._waiting and not self._is_checking:
            self._is_checking = True
            self._events.call_later(CHECK_SECONDS, self._check)
        return claim

    def release(self, claim: Claim) -> None:
        """End a claim, granted or not."""
        if claim.is_granted:
            del self._granted[claim]
            self._free += claim.size
            self._grant()
        else:
            self._waiting.remove(claim)

    def _grant(self) -> None:
        while self._waiting and self._waiting[0].size <= self._free:
            claim = self._waiting.popleft()
            self._free -= claim.size
            claim.is_granted, claim.since = True, self._events.time()
            self._granted[claim] = None
            claim.granted()

    def _check(self) -> None:
        while self._waiting and self._granted:
            oldest = next(iter(self._granted))
            if self._events.time() - oldest.since < LEAST_SECONDS:
                break
            oldest.cut_off()
            if oldest in self._granted:
                self.release(oldest)
        self._is_checking = bool(self._waiting)
        if self._is_checking:
            self._events.call_later(CHECK_SECONDS, self._check)
