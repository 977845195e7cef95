"""A deadline that moves often."""

import asyncio
from collections.abc import Callable
from math import inf


class Timer:
    """Calls a function when a deadline passes; moving the deadline ahead costs next to nothing."""

    __slots__ = ("_deadline", "_events", "_expired", "_handle")

    def __init__(self, events: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._events = events
        self._expired = expired
        self._deadline = inf
        self._handle: asyncio.TimerHandle | None = None
        """Checks the deadline, when it passes or before."""

    def set(self, seconds: float) -> None:
        """Let the deadline be in so many seconds."""
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
        self._handle = self._events.call_later(seconds, self._check)

    def _check(self) -> None:
        self._handle = None
        left = self._deadline - self._events.time()
        if left <= 0:
            self._expired()
        elif left < inf:
            self._check_in(left)


def _do_nothing() -> None:
    """A cancelled timer never expires."""
