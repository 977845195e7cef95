"""A deadline that moves often."""

import asyncio
from collections.abc import Callable
from math import inf

from peerbus.standstill import STANDSTILL_SECONDS


class Timer:
    """Calls a function when a deadline passes; moving the deadline ahead costs next to nothing.

    After a standstill of this process, what was sent meanwhile is yet to be read: the deadline is as far ahead again.
    """

    __slots__ = ("_check_at", "_deadline", "_events", "_expired", "_handle", "_seconds")

    def __init__(self, events: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._events = events
        self._expired = expired
        self._deadline = inf
        self._seconds = self._check_at = 0.0
        self._handle: asyncio.TimerHandle | None = None
        """Checks the deadline, when it passes or before."""

    def set(self, seconds: float) -> None:
        """Let the deadline be in so many seconds."""
        self._seconds = seconds
        self._deadline = self._events.time() + seconds
        if self._handle is None or self._handle.when() > self._deadline:
            self._check_in(seconds)

    def stop(self) -> None:
        """Have no deadline until one is set."""
        self._deadline = inf

    def cancel(self) -> None:
        """Have no deadline any more, and drop the function."""
        self.stop()
        self._expired = _do_nothing
        if self._handle:
            self._handle.cancel()

    def _check_in(self, seconds: float) -> None:
        if self._handle:
            self._handle.cancel()
        self._check_at = self._events.time() + seconds
        self._handle = self._events.call_later(seconds, self._check)

    def _check(self) -> None:
        self._handle = None
        now = self._events.time()
        left = self._deadline - now
        if left <= 0 and now - self._check_at > STANDSTILL_SECONDS:
            self.set(self._seconds)
        elif left <= 0:
            self._expired()
        elif left < inf:
            self._check_in(left)


def _do_nothing() -> None:
    """A cancelled timer never expires."""
