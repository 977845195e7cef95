"""A kept connection to another process, and the exchange that it carries."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import NamedTuple, cast

import httptools

from peerbus.http.known_heads import END, KnownHeads
from peerbus.http.upstream.body_stream import BodyStream
from peerbus.http.upstream.errors import TimedOut, Unreachable, UpstreamError
from peerbus.http.upstream.exchange import Exchange, Response, StreamExchange

CHUNKED = b"transfer-encoding"
FRAMING = {b"content-length", CHUNKED}
"""Headers that say where a body ends; without them it ends with the connection."""


class ResponseHead(NamedTuple):
    """A parsed head, and the length of its body in bytes."""

    status: int
    headers: dict[bytes, bytes]
    length: int


class UpstreamConnection(asyncio.Protocol):
    """Carries one exchange at a time; responses are parsed by httptools (llhttp, in C)."""

    def __init__(
        self,
        origin: str,
        heads: KnownHeads[ResponseHead],
        max_bytes: float,
        freed: Callable[["UpstreamConnection"], None],
        lost: Callable[["UpstreamConnection", UpstreamError], None],
    ) -> None:
        """A response, its head included, may have `max_bytes`; the body of a stream any number.

        `freed` is called when the response is whole, just before it is delivered, `lost` once when the connection is
        closed.
        """
        self.origin = origin
        self.exchange: Exchange | None = None
        self.used = False
        """Whether it has carried an exchange before this one."""
        self.idle_since = 0.0
        """The loop's time of the end of the last exchange."""
        self._stream: BodyStream | None = None
        self._heads = heads
        self._max_bytes = max_bytes
        self._bytes_left = max_bytes
        self._on_freed = freed
        self._on_lost = lost
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser
        self._error: UpstreamError | None = None
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._fresh = False
        """Whether nothing of the response came."""
        self._head_complete = False
        self._complete = False
        self._keep_alive = False
        self._ends_after_this = False

    def begin(self, exchange: Exchange) -> None:
        """Send the request of an exchange."""
        self.exchange = exchange
        self._bytes_left = self._max_bytes
        self._headers = {}
        self._body = []
        self._head_complete = False
        self._complete = False
        self._fresh = True
        exchange.on_give_up = self._end_sending
        self._transport.write(exchange.data)

    def _end_sending(self) -> None:
        """Send nothing more, not even after a response; a connection by TLS is closed, because it has no such end."""
        self._ends_after_this = True
        if self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self.end(TimedOut("it is given up"))

    def end(self, error: UpstreamError) -> None:
        """Close the connection; its exchange fails with `error`."""
        if self._error is None:
            self._error = error
            if self._stream:
                self._stream.end(error)
            self._transport.abort()

    @property
    def answered(self) -> bool:
        """Whether anything of a response has come."""
        return not self._fresh

    @property
    def reusable(self) -> bool:
        """Whether it can carry another exchange."""
        if self._ends_after_this or not self._keep_alive:
            return False
        return not (self._transport.is_closing() or self._transport.get_write_buffer_size())

    # Called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Take in a part of the response; a whole one with a known head is not parsed."""
        self._bytes_left -= len(data)
        if self.exchange is None and self._stream is None:
            self.end(Unreachable("nothing was asked"))
        elif self._bytes_left < 0:
            self.end(Unreachable(f"the answer is larger than {self._max_bytes} bytes"))
        else:
            if self._fresh:
                head, end, body = data.partition(END)
                known = self._heads.get(head) if end else None
                if known is not None and len(body) == known.length and not isinstance(self.exchange, StreamExchange):
                    self._keep_alive = True
                    self._deliver(Response(known.status, body, known.headers))
                    return
            self._parse(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed; a response without a length is whole by that."""
        under_way = self.exchange or self._stream
        if (self._error or exc) is None and under_way and not self._complete and self._ends_with_connection:
            self._finish()
        error = self._error or Unreachable(str(exc or "the connection was closed before the answer was whole"))
        if self._stream:
            self._stream.end(error)
        self._on_lost(self, error)
        del self._parser  # each refers to the other: the collector would have to find them

    def _parse(self, data: bytes) -> None:
        first, self._fresh = self._fresh, False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.end(Unreachable(f"what it answered cannot be read: {error}"))
            return
        exchange = self.exchange
        if isinstance(exchange, StreamExchange) and self._head_complete and self._parser.get_status_code() == 200:
            self._open_stream(exchange)
        if self._stream:
            self._stream.feed(b"".join(self._body))
            self._body.clear()
        if self._complete:
            if first and self._keep_alive and not self._stream:
                self._learn(*data.partition(END))
            self._finish()

    def _open_stream(self, exchange: StreamExchange) -> None:
        self.exchange = None
        self._bytes_left = inf
        self._stream = exchange.stream = BodyStream(self._transport, self._headers, exchange.silence)
        exchange.set_result(Response(200, b"", self._headers))

    def _learn(self, head: bytes, _: bytes, body: bytes) -> None:
        status, headers = self._parser.get_status_code(), self._headers
        interim = not head.startswith(b"HTTP/1.1 %d " % status)  # a response of 1xx came before this one
        if not interim and headers.get(b"content-length") == b"%d" % len(body) and CHUNKED not in headers:
            self._heads.learn(head, ResponseHead(status, headers, len(body)))

    def _finish(self) -> None:
        if self._stream:
            stream, self._stream = self._stream, None
            stream.end()
            self.used = True
            self._on_freed(self)
        else:
            self._deliver(Response(self._parser.get_status_code(), b"".join(self._body), self._headers))

    def _deliver(self, response: Response) -> None:
        exchange, self.exchange = self.exchange, None
        self.used = True
        self._on_freed(self)
        if exchange:
            exchange.set_result(response)

    @property
    def _ends_with_connection(self) -> bool:
        return self._head_complete and self._headers.keys().isdisjoint(FRAMING)

    # Called by the parser

    def on_message_begin(self) -> None:
        """A response begins; raises `ValueError` for one too many."""
        if self._complete:
            raise ValueError("more than was asked for")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_complete = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came."""
        self._headers[name.lower()] = value.strip()

    def on_body(self, body: bytes) -> None:
        """A part of the body came."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The response is whole, or was an interim one (1xx)."""
        self._complete = self._parser.get_status_code() >= 200
        self._keep_alive = self._parser.should_keep_alive()
        if not self._complete:
            self._headers = {}
            self._head_complete = False
