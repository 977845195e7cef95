"""One kept connection of a transport, and the exchange it carries."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple, cast

import httptools

from peerbus.future import Future
from peerbus.http.known_heads import END, KnownHeads

UNSAID = b"transfer-encoding"
"""What a head must not say, for it and its body to be all of an answer."""


class Received(NamedTuple):
    """An answer as it came: header names in lower case."""

    status: int
    body: bytes
    headers: dict[bytes, bytes]


class Answer(NamedTuple):
    """What a head says, and how many bytes of body follow."""

    status: int
    headers: dict[bytes, bytes]
    length: int


class Exchange(Future[Received]):
    """A request on its way, until `deadline` at most, `again` if need be; and the answer to it when that is there."""

    __slots__ = ("again", "data", "deadline", "origin", "timeout")

    def __init__(self, origin: str, data: bytes, timeout: float, again: bool) -> None:
        super().__init__()
        self.origin = origin
        self.data = data
        self.again = again
        self.timeout = timeout
        self.deadline = monotonic() + timeout


class Connection(asyncio.Protocol):
    """Carries one exchange at a time; answers are read by httptools' parser (llhttp, in C)."""

    def __init__(
        self,
        origin: str,
        heads: KnownHeads[Answer],
        most: float,
        answered: Callable[["Connection", Received], None],
        ended: Callable[["Connection", Exception | None], None],
    ) -> None:
        """Of each answer, `most` bytes are taken, its head among them; `heads` are those of all connections.

        `answered` is told of an answer that is whole, `ended` once when the connection is.
        """
        self.origin = origin
        self.exchange: Exchange | None = None
        self.used = False
        """Whether it has carried an exchange before this one."""
        self._heads = heads
        self._most = most
        self._room = most
        self._on_answered = answered
        self._on_ended = ended
        self._transport: asyncio.Transport
        self._error: Exception | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._fresh = False
        """Whether nothing of the answer came."""
        self._headed = False
        """Whether its head came."""
        self._complete = False
        self._keep_alive = False

    def begin(self, exchange: Exchange) -> None:
        """Take on an exchange, and send its request."""
        self.exchange = exchange
        self._room = self._most
        self._headers = {}
        self._body = []
        self._headed = False
        self._complete = False
        self._fresh = True
        self._transport.write(exchange.data)

    def end(self, error: Exception) -> None:
        """Close the connection, because of `error`."""
        if self._error is None:
            self._error = error
            self._transport.abort()

    @property
    def answered(self) -> bool:
        """Whether anything of an answer has come."""
        return not self._fresh

    @property
    def reusable(self) -> bool:
        """Whether it can carry another exchange."""
        return self._keep_alive and not self._transport.is_closing() and not self._transport.get_write_buffer_size()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is connected."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take in what has come, which needs no parser if it is a whole answer whose head came before."""
        self._room -= len(data)
        if self.exchange is None:
            self.end(ConnectionError("nothing was asked"))
        elif self._room < 0:
            self.end(ConnectionError(f"the answer is larger than {self._most} bytes"))
        else:
            if self._fresh:
                head, end, body = data.partition(END)
                known = self._heads.get(head) if end else None
                if known is not None and len(body) == known.length:
                    self._keep_alive = True
                    self._on_answered(self, Received(known.status, body, known.headers))
                    return
            self._parse(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed; an answer without a length is whole by that."""
        if (self._error or exc) is None and self.exchange and not self._complete and self._ends_with_connection:
            self._answer()
        self._on_ended(self, self._error or exc)

    def _parse(self, data: bytes) -> None:
        first, self._fresh = self._fresh, False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.end(ConnectionError(f"what it answered cannot be read: {error}"))
            return
        if self._complete:
            if first and self._keep_alive:
                self._learn(*data.partition(END))
            self._answer()

    def _learn(self, head: bytes, _: bytes, body: bytes) -> None:
        status, headers = self._parser.get_status_code(), self._headers
        announced = not head.startswith(b"HTTP/1.1 %d " % status)
        if not announced and headers.get(b"content-length") == b"%d" % len(body) and UNSAID not in headers:
            self._heads.learn(head, Answer(status, headers, len(body)))

    def _answer(self) -> None:
        self._on_answered(self, Received(self._parser.get_status_code(), b"".join(self._body), self._headers))

    @property
    def _ends_with_connection(self) -> bool:
        return self._headed and not self._headers.keys() & {b"content-length", b"transfer-encoding"}

    # What the parser calls

    def on_message_begin(self) -> None:
        """An answer begins; raises `ValueError` for one more than was asked for."""
        if self._complete:
            raise ValueError("more than was asked for")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._headed = True

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
            self._headed = False
