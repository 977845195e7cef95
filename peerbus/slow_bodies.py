"""Clients that send a body slowly, or never end it, and how the threads that wait for them get free."""

from collections.abc import Mapping
from typing import Any

BODY_SECONDS = 30.0
"""How long a body may take to come."""
LEAST_SECONDS = 0.5
"""How long it may take at least, however many others are waited for."""
UNFINISHED = [("Content-Length", "1")]

Request = tuple[Any, dict[str, Any]]
"""What granian gives a thread: the protocol that takes the answer, and the request as WSGI has it."""


class SlowBodies:
    """Cuts off who sends a body too slowly, so that none of a server's threads waits for one for ever.

    While more than three quarters of the threads wait for bodies, those that wait the longest are freed long
    before their time: whoever comes later must find a thread.
    """

    def __init__(self, threads: int, seconds: float = BODY_SECONDS) -> None:
        """A body of one of so many `threads` may take so many `seconds`."""
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
                _cut_off(*request)


def has_unread_body(environ: dict[str, Any]) -> bool:
    """Who reads a body to its end takes it out of the request."""
    return "wsgi.input" in environ and ("CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ)


def _cut_off(protocol: Any, environ: dict[str, Any]) -> None:
    """Close the connection of a request, unless its body has just been read: one of the two takes it out.

    An answer that ends before its declared length leaves an HTTP/1.1 server nothing else, and ends the reading.
    """
    if environ.pop("wsgi.input", None) is not None:
        protocol.response_iter(408, UNFINISHED, iter(()))
