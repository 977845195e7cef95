"""A body that the application did not read when it answers: what becomes of it, and of the connection."""

from peerbus.application import Environ, Headers, has_unread_body
from peerbus.errors import TooLarge

MOST_DRAINED = 64 << 10
"""Bytes of the largest body that is waited for and thrown away, for the connection to be kept."""
CLOSE = ("Connection", "close")


def settled(environ: Environ, status: int, headers: Headers) -> Headers:
    """The headers of an answer, to be sent after that: they say so where a body is left, which ends the connection.

    It is left where it is large, was refused as too large, or is held back until the server asks for it.
    """
    body = environ.get("wsgi.input")
    if body is None or not has_unread_body(environ):
        return headers
    length = int(environ.get("CONTENT_LENGTH", MOST_DRAINED + 1))
    if length > MOST_DRAINED or status == TooLarge.status or "HTTP_EXPECT" in environ:
        return [*headers, CLOSE]
    body.read(length)
    environ.pop("wsgi.input", None)
    return headers
