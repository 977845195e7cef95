"""Connections that carry any bytes."""

import http.client
import io
import json
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Self, cast
from urllib.parse import urlsplit

from tests.support.harness import DEADLINE, Api

JSON = {"Content-Type": "application/json"}
ODD_PATHS = {
    "odd bytes": b"/%ff%fe%00",
    "line breaks": b"/%0d%0a2030-01-01%2000:00:00,000%20INFO%20forged%0aforged",
    "separators": b"/%e2%80%a8forged%c2%85forged%0b%0cforged",
    "terminal controls": b"/%1b[31m%1b]0;forged%07%08",
    "percent signs": b"/%25s%25d%",
    "very long": b"/" + b"a" * 30_000,
    "dots": b"/../../etc/passwd",
    "only slashes": b"//////",
    "not ASCII": b"/%f0%9f%98%80",
}
"""Paths that no row has, as they are sent."""


class RawReply(NamedTuple):
    """An answer as its bytes say it; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Incoming(io.BufferedReader):
    """What comes on a connection; who has read an answer from it leaves it open for the next."""

    def close(self) -> None:
        """Leave it."""

    def makefile(self, _: str) -> Self:
        """What `http.client` asks a socket for."""
        return self


class Connection:
    """One connection, on which a test sends the very bytes of its requests, one after the other."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname
        assert address.port
        self._socket = self._connected(address.hostname, address.port)
        self._incoming = Incoming(socket.SocketIO(self._socket, "r"))

    def _connected(self, host: str, port: int) -> socket.socket:
        return socket.create_connection((host, port), timeout=DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_what_is_taken(self, data: bytes) -> None:
        """Send until the other side has enough."""
        with suppress(ConnectionError):
            self.send(data)

    def received(self) -> bytes:
        """All that comes until the other side closes the connection."""
        parts = []
        with suppress(ConnectionError):
            while part := self._incoming.read1():
                parts.append(part)
        return b"".join(parts)

    def head(self) -> bytes:
        """The next head that comes, and nothing of what follows it."""
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            received += self._incoming.read(1)
        return received

    def end_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Have the other side told at once that nothing is read or sent any more."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._incoming.raw.close()
        self._socket.close()

    def reply(self, method: str = "GET") -> RawReply:
        with http.client.HTTPResponse(cast(socket.socket, self._incoming), method=method) as response:
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return RawReply(response.status, headers, response.read())

    def call(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON) -> RawReply:
        self.send(request(method, path, body, headers))
        return self.reply(method)


class NotReading(Connection):
    """One whose client has little room for what it does not read."""

    def _connected(self, host: str, port: int) -> socket.socket:
        client = socket.socket()
        client.settimeout(DEADLINE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, port))
        return client


def request(
    method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON, length: int | None = None
) -> bytes:
    """The bytes of a request; `length` is declared in place of the body's own."""
    declared = len(body) if length is None else length
    fields = {"Host": "localhost", "Content-Length": str(declared), **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def call(api: Api, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] = JSON) -> RawReply:
    """One request on a connection of its own."""
    with Connection(api.url) as connection:
        return connection.call(method, path, body, headers)


def message_in_chunks(method: str, path: str, body: bytes, size: int = 10_000) -> bytes:
    """The bytes of a request whose body comes in chunks."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
