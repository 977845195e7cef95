"""Clients that send a body slowly, or never end it, and how the threads that wait for them get free."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from peerbus.http.types import Environ, has_unread_body

LARGEST_HEAD = 64 << 10
"""Bytes of a request's head."""
BODY_SECONDS = 30.0
"""How long a body may take to come."""


class Timeouts(NamedTuple):
    """How many seconds a client may take: for the head of a request, also to begin one, and for its body."""

    head: float = 30.0
    body: float = BODY_SECONDS


TIMEOUTS = Timeouts()


LOOK_SECONDS = 0.1
"""How often a server looks who sends a body slowly."""
LEAST_SECONDS = 0.5
"""How long it may take at least, however many others are waited for."""

Request = tuple[Any, Environ]
"""What a server's thread is at: whatever stands for the connection, and the request."""


class BodyTimeouts:
    """Cuts off who sends a body too slowly, so that none of a server's threads waits for one for ever.

    While more than three quarters of the threads wait for bodies, those that wait the longest are freed long
    before their time: whoever comes later must find a thread.
    """

    def __init__(self, threads: int, cut_off: Callable[[Any], None], seconds: float = BODY_SECONDS) -> None:
        """A body of one of so many `threads` may take so many `seconds`; `cut_off` then ends the reading."""
        self._cut_off = cut_off
        self._most = threads * 3 // 4
        self._seconds = seconds
        self._since: dict[int, tuple[float, Request]] = {}
        """When each thread that waits for a body was first seen to, in seconds of the caller's clock."""

    def cut(self, at: Mapping[int, Request], now: float) -> None:
        """Cut off whose time is up, given which request each thread is at; to be called again and again."""
        since: dict[int, tuple[float, Request]] = {}
        for thread, request in at.items():
            if has_unread_body(request[1]):
                known = self._since.get(thread)
                since[thread] = known if known and known[1] is request else (now, request)
        self._since = since
        too_many = len(since) - self._most
        for place, (begun, request) in enumerate(sorted(since.values(), key=lambda each: each[0])):
            if now - begun >= (min(LEAST_SECONDS, self._seconds) if place < too_many else self._seconds):
                connection, environ = request
                if environ.pop("wsgi.input", None) is not None:  # or else it has just been read
                    self._cut_off(connection)
