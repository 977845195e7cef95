"""Requests as bytes, and plain connections that send them: no HTTP library's own work is in a latency."""

import json
import socket
import struct
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

JSON = "application/json"
TIMEOUT_SECONDS = 30
"""How long an answer may take before the benchmark gives up."""
CHUNK_BYTES = 1 << 16
TIMEOUT = struct.pack("ll", TIMEOUT_SECONDS, 0)
END_OF_HEAD = b"\r\n\r\n"
OK = b"HTTP/1.1 200 "
LENGTH = b"content-length:"


class ConnectionBroken(Exception):
    """The service closed the connection, timed out, or does not speak HTTP as expected."""


class Request(NamedTuple):
    """The bytes of a request. An answer is good if its status is 200 and its bytes contain `expected`."""

    call: str
    data: bytes
    expected: bytes = b""


def prepare(
    call: str, fields: Mapping[str, object] | None = None, method: str = "POST", expected: bytes = b""
) -> Request:
    """The request for a call. A GET has `fields` in its query string, every other method as JSON in its body."""
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


class Connection:
    """A keep-alive connection to one service, with at most one request under way.

    The socket blocks, and the kernel keeps its timeout: Python's own would cost one more system call a request.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        try:
            self._socket = socket.create_connection((address.hostname, address.port or 80), TIMEOUT_SECONDS)
        except OSError as error:
            raise ConnectionBroken(f"{url} cannot be reached: {error}.") from None
        self._socket.setblocking(True)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, TIMEOUT)
        self._url = url
        self._part = b""
        self._size = 0

    def fileno(self) -> int:
        """The socket's file descriptor, to poll."""
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Send a request; raises `ConnectionBroken`."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionBroken(f"{self._url} takes no request: {error}.") from None

    def receive(self) -> bytes | None:
        """Read once, and return the answer, head and body, if it is complete now; raises `ConnectionBroken`."""
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except OSError as error:
            raise ConnectionBroken(f"{self._url} gives no answer: {error}.") from None
        if not data:
            raise ConnectionBroken(f"{self._url} closed the connection.")
        if self._part:
            data = self._part + data
        if not self._size:
            self._size = size_of_answer(data)
        if not self._size or len(data) < self._size:
            self._part = data
            return None
        self._part, self._size = b"", 0
        return data

    def exchange(self, data: bytes) -> bytes:
        """Send a request and return its answer; raises `ConnectionBroken`."""
        self.send(data)
        while (answer := self.receive()) is None:
            pass
        return answer

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def size_of_answer(data: bytes) -> int:
    """The bytes of head and body according to the head's Content-Length; 0 while the head is incomplete."""
    end = data.find(END_OF_HEAD)
    if end < 0:
        return 0
    head = data[:end].lower()
    _, found, rest = head.partition(LENGTH)
    if not found:
        raise ConnectionBroken("An answer does not say how long it is.")
    return end + len(END_OF_HEAD) + int(rest.partition(b"\r")[0])


def is_good(answer: bytes, expected: bytes) -> bool:
    """Whether an answer has status 200 and contains the expected bytes."""
    return answer.startswith(OK) and expected in answer
