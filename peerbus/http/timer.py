"""How long a client is waited for."""

import asyncio
from collections.abc import Callable
from math import inf


class Timer:
    """Goes off when something waited for did not happen in time; moving it ahead costs next to nothing."""

    def __init__(self, events: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._events = events
        self._ring = ring
        self._deadline = inf
        self._timer: asyncio.TimerHandle | None = None
        """Looks whether it is time, at the deadline or before."""

    def set(self, seconds: float) -> None:
        """Go off in so many seconds, unless set anew before."""
        self._deadline = self._events.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._look_in(seconds)

    def put_off(self) -> None:
        """Do not go off, until set."""
        self._deadline = inf

    def cancel(self) -> None:
        """Never go off again."""
        self.put_off()
        if self._timer:
            self._timer.cancel()

    def _look_in(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._events.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        left = self._deadline - self._events.time()
        if left <= 0:
            self._ring()
        elif left < inf:
            self._look_in(left)
