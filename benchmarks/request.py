"""Requests, made ready to be sent: no work is left for while the clock runs."""

import json
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

JSON = "application/json"


class Request(NamedTuple):
    """The bytes of a request; an answer is good if its status is 200 and `expected` is somewhere in it."""

    call: str
    data: bytes
    expected: bytes = b""


def prepare(
    call: str, fields: Mapping[str, object] | None = None, method: str = "POST", expected: bytes = b""
) -> Request:
    """The request for a call: `fields` in the query string of a GET, as JSON in the body of all else."""
    target = f"/{call}"
    body = b""
    if method != "GET":
        body = json.dumps(fields or {}, separators=(",", ":")).encode()
    elif fields:
        target += f"?{urlencode(fields)}"
    return Request(call, http(method, target, body, JSON), expected)


def http(method: str, target: str, body: bytes = b"", content_type: str = "") -> bytes:
    """The bytes of an HTTP request; without a body it has no content type."""
    head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\n" if content_type else ""
        head += f"Content-Length: {len(body)}\r\n"
    return f"{head}\r\n".encode() + body
