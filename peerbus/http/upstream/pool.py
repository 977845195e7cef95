"""The one HTTP client inside: requests to other peerbus processes over kept connections."""

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from functools import lru_cache
from math import inf
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from peerbus.http.event_loop import Loop
from peerbus.http.known_heads import KnownHeads
from peerbus.http.tls import RereadContext, trust
from peerbus.http.upstream.body_stream import BodyStream
from peerbus.http.upstream.connection import ResponseHead, UpstreamConnection
from peerbus.http.upstream.errors import NotConnected, TimedOut, Unreachable, UpstreamError
from peerbus.http.upstream.exchange import Exchange, Response, StreamExchange
from peerbus.http.upstream.resolver import Resolver
from peerbus.standstill import Standstill

SWEEP_SECONDS = 0.1
"""The most by which a timeout is late."""
ENDED_AT_ONCE = 50
"""Exchanges that are timed out in one slice: about a millisecond of work."""
IDLE_SECONDS = 30.0
"""After so long without a request a connection is not used again: less than servers and proxies keep theirs."""
PORTS = {"http": 80, "https": 443}


class ConnectionPool:
    """Sends requests from any thread and delivers the responses in the thread of its loop, any number at once.

    Proxies in the environment are not used: the other side is ours.
    """

    def __init__(
        self,
        loop: Loop,
        connect_timeout: float,
        ca: Path | None = None,
        max_response_bytes: float = inf,
        max_idle: float = inf,
    ) -> None:
        """`connect_timeout` is in seconds; the certificates of https servers must be signed by one in `ca`.

        Without `ca`, those that the system trusts are accepted. Raises `StartError` for a file without a certificate.
        At most `max_idle` connections are kept while nothing is sent.
        """
        self._loop = loop
        self._max_response_bytes = max_response_bytes
        self._heads: KnownHeads[ResponseHead] = KnownHeads()
        self._resolver = Resolver(loop)
        self._ca = RereadContext([ca], lambda: trust(ca)) if ca else None
        self._system: ssl.SSLContext | None = None
        self._connect_timeout = connect_timeout
        self._max_idle = max_idle
        self._idle: dict[str, deque[UpstreamConnection]] = {}
        self._idle_count = 0
        self._open: set[UpstreamConnection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._sweeping = False
        self._standstill = Standstill()
        self._closing = False

    def send(
        self, method: str, url: str, body: bytes, headers: tuple[str, ...], timeout: float, repeatable: bool = False
    ) -> Exchange:
        """Send a request; the future fails with `TimedOut` after `timeout` seconds, and with `Unreachable`.

        That is `NotConnected` if there was no connection to send it on.
        A kept connection may turn out closed before a response came: it was idle for too long, or the other side served
        the request and could not answer. Only a `repeatable` request is then sent again, on a new connection.
        An invalid URL is `Unreachable`; the future has then failed when this returns.
        """
        origin, head = _head(method, url, headers)
        return self._start(Exchange(origin, b"%b%d\r\n\r\n%b" % (head, len(body), body), timeout, repeatable))

    async def open(self, url: str, headers: tuple[str, ...], timeout: float, silence: float) -> BodyStream | Response:
        """GET `url`: a stream of the body where the status is 200, else the whole response.

        Await in the loop. Raises `TimedOut` when no head came within `timeout` seconds, and `Unreachable`. The stream
        times out after `silence` seconds without a byte. It occupies its connection until it ends or is closed.
        """
        origin, head = _head("GET", url, headers)
        exchange = StreamExchange(origin, b"%b0\r\n\r\n" % head, timeout, silence)
        answered = asyncio.Event()
        self._start(exchange).add_done_callback(lambda _: answered.set())
        try:
            await answered.wait()
        except asyncio.CancelledError:
            exchange.abandon()
            raise
        try:
            return exchange.stream or exchange.result()
        finally:
            del exchange  # the traceback of its error refers to this frame

    def close(self) -> None:
        """Close the connections; exchanges and streams under way fail with `Unreachable`, as do later ones."""
        self._closing = True
        self._loop.wait_for(self._end_all())

    def _start(self, exchange: Exchange) -> Exchange:
        if not exchange.origin:
            exchange.set_exception(Unreachable("the URL has characters that none may have"))
        elif not self._loop.call(self._begin, exchange):
            exchange.set_exception(_stopping())
        return exchange

    # Everything below runs in the loop, the only thread that touches connections

    def _begin(self, exchange: Exchange) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._standstill.begin(monotonic())
            self._loop.events.call_later(SWEEP_SECONDS, self._sweep)
        if self._closing:
            exchange.set_exception(_stopping())
        elif exchange.is_given_up:
            exchange.set_exception(NotConnected("it is given up"))
        elif connection := self._kept(exchange.origin):
            connection.begin(exchange)
        else:
            self._connect(exchange)

    def _kept(self, origin: str) -> UpstreamConnection | None:
        """The connection used last; if it was idle for too long, so were the others, and all are closed."""
        kept = self._idle.get(origin)
        if not kept:
            return None
        if self._loop.events.time() - kept[-1].idle_since < IDLE_SECONDS:
            self._idle_count -= 1
            return kept.pop()
        self._idle_count -= len(kept)
        while kept:
            kept.pop().end(Unreachable("closed"))
        return None

    def _connect(self, exchange: Exchange) -> None:
        task = self._loop.events.create_task(self._connect_and_begin(exchange))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect_and_begin(self, exchange: Exchange) -> None:
        try:
            connection = await self._connected(exchange)
            self._open.add(connection)
            if exchange.is_given_up:
                connection.end(Unreachable("closed"))
                raise ConnectionAbortedError("it is given up")
            connection.begin(exchange)
        except ssl.SSLCertVerificationError as error:
            exchange.set_exception(NotConnected(f"its certificate is not trusted, {error.verify_message.rstrip('.')}"))
        except TimeoutError:
            exchange.set_exception(NotConnected("it does not accept a connection"))
        except (OSError, ValueError) as error:
            exchange.set_exception(NotConnected(getattr(error, "strerror", None) or str(error)))
        except asyncio.CancelledError:
            exchange.set_exception(_stopping())
        except Exception as error:  # noqa: BLE001  # the future carries it
            exchange.set_exception(NotConnected(str(error)))

    async def _connected(self, exchange: Exchange) -> UpstreamConnection:
        """A new connection; raises `OSError`, for a timeout too, and `ValueError` for an invalid origin."""
        scheme, host, port = _address(exchange.origin)
        secured = self._trusted() if scheme == "https" else None
        deadline = self._loop.events.time() + min(self._connect_timeout, exchange.deadline - monotonic())
        *others, last = await self._resolver.addresses(host, deadline)
        async with asyncio.timeout_at(deadline):
            for address in others:
                with suppress(OSError):
                    return await self._connected_at(address, port, host, secured, exchange.origin)
            return await self._connected_at(last, port, host, secured, exchange.origin)

    def _trusted(self) -> ssl.SSLContext:
        if self._ca:
            return self._ca.now()
        self._system = self._system or trust()
        return self._system

    async def _connected_at(
        self, address: str, port: int, host: str, secured: ssl.SSLContext | None, origin: str
    ) -> UpstreamConnection:
        _, connection = await self._loop.events.create_connection(
            lambda: UpstreamConnection(origin, self._heads, self._max_response_bytes, self._freed, self._lost),
            *(address, port),
            ssl=secured,
            server_hostname=host if secured else None,
        )
        return connection

    def _freed(self, connection: UpstreamConnection) -> None:
        if connection.reusable and self._idle_count < self._max_idle:
            self._idle_count += 1
            connection.idle_since = self._loop.events.time()
            self._idle.setdefault(connection.origin, deque()).append(connection)
        else:
            connection.end(Unreachable("closed"))

    def _lost(self, connection: UpstreamConnection, error: UpstreamError) -> None:
        """Send the exchange of a closed connection again where that may be, else fail it."""
        self._open.discard(connection)
        idle = self._idle.get(connection.origin, deque())
        if connection in idle:
            idle.remove(connection)
            self._idle_count -= 1
        if not idle:
            self._idle.pop(connection.origin, None)
        exchange, connection.exchange = connection.exchange, None
        if exchange is None:
            return
        untouched = connection.used and not connection.answered
        if exchange.repeatable and untouched and not isinstance(error, TimedOut) and not self._closing:
            self._connect(exchange)
        else:
            exchange.set_exception(error)

    def _sweep(self) -> None:
        """Time exchanges out, in slices; repeated while any are under way."""
        now = monotonic()
        under_way = [connection for connection in self._open if connection.exchange]
        if self._standstill.beat(now):  # answers that came meanwhile are yet to be read
            for exchange in (connection.exchange for connection in under_way):
                if exchange:
                    exchange.deadline = max(exchange.deadline, now + exchange.timeout)
        expired = [each for each in under_way if each.exchange and each.exchange.deadline <= now]
        for connection in expired[:ENDED_AT_ONCE]:
            if exchange := connection.exchange:
                connection.end(TimedOut(f"no answer within {exchange.timeout:g} seconds"))
        self._sweeping = bool(under_way or self._connecting)
        if self._sweeping:
            self._loop.events.call_later(0.0 if expired else SWEEP_SECONDS, self._sweep)

    async def _end_all(self) -> None:
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        await self._resolver.close()
        for connection in list(self._open):
            if exchange := connection.exchange:
                connection.exchange = None
                exchange.set_exception(_stopping())
            connection.end(_stopping())


def _stopping() -> Unreachable:
    return Unreachable("the process is stopping")


def host_of(url: str) -> str:
    """The host in a URL, in lower case; raises `ValueError` where there is none."""
    return _address(_origin_and_path(url)[0])[1]


@lru_cache
def _head(method: str, url: str, headers: tuple[str, ...]) -> tuple[str, bytes]:
    """The origin of a URL, empty for an invalid one, and the request's head up to the value of Content-Length."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return "", b""
    origin, path = _origin_and_path(url)
    lines = (f"{method} {path} HTTP/1.1", f"Host: {origin.partition('://')[2]}", *headers, "Content-Length: ")
    return origin, "\r\n".join(lines).encode("latin-1", "replace")


def _origin_and_path(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    return f"{scheme}://{authority}", f"/{path}"


@lru_cache
def _address(origin: str) -> tuple[str, str, int]:
    parts = urlsplit(origin)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"{origin} is not a URL")
    return parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme]
