"""What a server runs: an application takes a request as WSGI has it, and answers it now or later."""

from collections.abc import Callable, Generator
from typing import Any

Environ = dict[str, Any]
"""A request as WSGI gives it; who reads its body to the end takes `wsgi.input` out of it."""
Headers = list[tuple[str, str]]
Respond = Callable[[int, Headers, bytes], None]
"""Sends the answer to a request: status, headers, body. From any thread; all but the first answer are ignored."""
Parts = Generator[bytes, None, None]
RespondInParts = Callable[[int, Headers, Parts], None]
"""Sends an answer whose body is a generator's parts, each made when the client took the one before.

It returns when the generator is at its end, or made a part that is not sent because the client is gone, and is closed.
"""
Application = Callable[[Environ, Respond], None]
"""Takes one request, which is its own until it returns, and sees to it that it is answered, now or later."""

IN_PARTS = "peerbus.in_parts"
"""In a request: what sends an answer in parts (`RespondInParts`)."""


def has_unread_body(environ: Environ) -> bool:
    """Who reads a body to its end takes it out of the request."""
    has_body = environ.get("CONTENT_LENGTH", "").strip("0") or "HTTP_TRANSFER_ENCODING" in environ
    return "wsgi.input" in environ and bool(has_body)
