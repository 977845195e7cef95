"""One kept connection of a transport, and the exchange it carries."""

import socket
import ssl
from contextlib import suppress
from math import inf
from time import monotonic
from typing import NamedTuple

import httptools

from peerbus.later import Later
from peerbus.tls_socket import TlsSocket

RECEIVED_AT_ONCE = 1 << 16
SENT_AT_ONCE = 1 << 14
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Received(NamedTuple):
    """An answer as it came: header names in lower case."""

    status: int
    body: bytes
    headers: dict[bytes, bytes]


class Exchange(Later[Received]):
    """A request on its way, until `deadline` at most, and the answer to it when that is there."""

    __slots__ = ("data", "deadline", "origin", "timeout")

    def __init__(self, origin: str, data: bytes, timeout: float) -> None:
        super().__init__()
        self.origin = origin
        self.data = data
        self.timeout = timeout
        self.deadline = monotonic() + timeout


class Connection:
    """A non-blocking socket that carries one exchange at a time, read by httptools' parser (llhttp, in C)."""

    def __init__(self, origin: str, sock: socket.socket | TlsSocket, most: float = inf) -> None:
        """Of each answer, `most` bytes are taken, its head among them."""
        self.origin = origin
        self.socket = sock
        self.exchange: Exchange | None = None
        self.used = False
        """Whether it has carried an exchange before this one."""
        self.unsent = b""
        self._most = most
        self._room = most
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._complete = False
        self._keep_alive = False

    def begin(self, exchange: Exchange) -> None:
        """Take on an exchange; what is left `unsent` is to be sent."""
        self.exchange = exchange
        self.unsent = exchange.data
        self._room = self._most
        self._headers = {}
        self._body = []
        self._complete = False

    def send(self) -> None:
        """Send what the socket takes; raises `OSError`.

        What is small goes whole into the empty buffer of a kept connection, and counts as sent before it is: its
        answer may have been taken, and another exchange begun, before this thread is heard of again.
        """
        data = self.unsent
        if len(data) <= SENT_AT_ONCE:
            self.unsent = b""
            if self.socket.send(data) < len(data):
                raise BrokenPipeError("the connection took only a part of a small request")
            return
        with suppress(*WOULD_BLOCK):
            self.unsent = data[self.socket.send(data) :]

    def receive(self) -> bool:
        """Take in what has come, and say whether the connection is still open.

        Raises `OSError`, also for an answer that is too large, and `httptools.HttpParserError` for what is not HTTP.
        """
        while True:
            try:
                data = self.socket.recv(RECEIVED_AT_ONCE)
            except WOULD_BLOCK:
                return True
            if not data:
                return False
            self._room -= len(data)
            if self._room < 0:
                raise ConnectionError(f"the answer is larger than {self._most} bytes")
            self._parser.feed_data(data)
            if len(data) < RECEIVED_AT_ONCE and not isinstance(self.socket, TlsSocket):
                return True

    def received(self, closed: bool = False) -> Received | None:
        """The answer, if it is whole; one without a length is when the connection is `closed`."""
        if self._complete or (closed and self._ends_with_connection):
            return Received(self._parser.get_status_code(), b"".join(self._body), self._headers)
        return None

    @property
    def answered(self) -> bool:
        """Whether anything of an answer has come."""
        return bool(self._headers)

    @property
    def reusable(self) -> bool:
        """Whether it can carry another exchange."""
        return self._keep_alive and not self.unsent

    @property
    def _ends_with_connection(self) -> bool:
        return bool(self._headers) and not self._headers.keys() & {b"content-length", b"transfer-encoding"}

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came."""
        self._headers[name.lower()] = value.strip()

    def on_body(self, body: bytes) -> None:
        """A part of the body came."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it is one of those that only announce it."""
        self._complete = self._parser.get_status_code() >= 200
        self._keep_alive = self._parser.should_keep_alive()
        if not self._complete:
            self._headers = {}
