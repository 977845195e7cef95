"""HTTP calls to other peerbus processes, over connections that are kept."""

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from functools import lru_cache
from math import inf
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.known_heads import KnownHeads
from peerbus.http.tls import trust
from peerbus.http.upstream.connection import Answer, Connection, Exchange, Received
from peerbus.http.upstream.resolver import Resolver

SWEEP_SECONDS = 0.1
"""How late a timeout may be noticed."""
PORTS = {"http": 80, "https": 443}


class Unreachable(Exception):
    """No connection, or it broke before an answer came."""


class TimedOut(Exception):
    """Connected, but no whole answer in time."""


class ConnectionPool:
    """Sends requests from any thread, and brings the answers in the thread of its loop, however many are under way.

    What cannot be sent at all has failed when `send` returns.

    Proxies in the environment are not used: the other side is ours.
    """

    def __init__(self, loop: Loop, connect_timeout: float, ca: Path | None = None, most: float = inf) -> None:
        """`connect_timeout` is in seconds; servers must have a certificate by one in `ca`, or whom the system trusts.

        Answers of more than `most` bytes are not taken. Raises `StartError` for a file that has no certificate.
        """
        self._loop = loop
        self._most = most
        self._heads: KnownHeads[Answer] = KnownHeads()
        self._names = Resolver(loop)
        self._trust = trust(ca) if ca else None
        self._connect_timeout = connect_timeout
        self._idle: dict[str, deque[Connection]] = {}
        self._open: set[Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._sweeping = False
        self._closing = False

    def send(
        self, method: str, url: str, body: bytes, headers: tuple[str, ...], timeout: float, again: bool = False
    ) -> Future[Received]:
        """Send one request; its answer comes within `timeout` seconds, or `TimedOut`.

        Or `Unreachable`, for a URL that cannot be one too. One that may be sent `again` is, on a new connection, where
        a kept one was closed before an answer came: that was idle for too long, or the other side did what was asked
        and could not say so.
        """
        origin, head = _head(method, url, headers)
        exchange = Exchange(origin, b"%b%d\r\n\r\n%b" % (head, len(body), body), timeout, again)
        if not origin:
            exchange.set_exception(Unreachable("the URL has characters that none may have"))
        elif not self._loop.call(self._begin, exchange):
            exchange.set_exception(_stopping())
        return exchange

    def close(self) -> None:
        """Close the connections; what is under way is `Unreachable`, as is what comes after."""
        self._closing = True
        self._loop.wait_for(self._end_all())

    # What follows runs in the loop, which alone touches the connections.

    def _begin(self, exchange: Exchange) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._loop.events.call_later(SWEEP_SECONDS, self._sweep)
        if self._closing:
            exchange.set_exception(_stopping())
        elif idle := self._idle.get(exchange.origin):
            idle.pop().begin(exchange)
        else:
            self._connect(exchange)

    def _connect(self, exchange: Exchange) -> None:
        task = self._loop.events.create_task(self._start_anew(exchange))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _start_anew(self, exchange: Exchange) -> None:
        try:
            connection = await self._connected(exchange)
            self._open.add(connection)
            connection.begin(exchange)
        except ssl.SSLCertVerificationError as error:
            exchange.set_exception(Unreachable(f"its certificate is not trusted, {error.verify_message.rstrip('.')}"))
        except TimeoutError:
            exchange.set_exception(Unreachable("it does not accept a connection"))
        except (OSError, ValueError) as error:
            exchange.set_exception(Unreachable(getattr(error, "strerror", None) or str(error)))
        except asyncio.CancelledError:
            exchange.set_exception(_stopping())
        except Exception as error:  # noqa: BLE001  # whoever waits for the answer is told
            exchange.set_exception(Unreachable(str(error)))

    async def _connected(self, exchange: Exchange) -> Connection:
        """A new connection; raises `OSError`, also where that takes too long, and `ValueError`."""
        scheme, host, port = _address(exchange.origin)
        secured = scheme == "https"
        if secured:
            self._trust = self._trust or trust()
        deadline = self._loop.events.time() + min(self._connect_timeout, exchange.deadline - monotonic())
        *others, last = await self._names.addresses(host, deadline)
        async with asyncio.timeout_at(deadline):
            for address in others:
                with suppress(OSError):
                    return await self._connected_at(address, port, host if secured else None, exchange.origin)
            return await self._connected_at(last, port, host if secured else None, exchange.origin)

    async def _connected_at(self, address: str, port: int, secured_for: str | None, origin: str) -> Connection:
        _, connection = await self._loop.events.create_connection(
            lambda: Connection(origin, self._heads, self._most, self._answered, self._ended),
            *(address, port),
            ssl=self._trust if secured_for else None,
            server_hostname=secured_for,
        )
        return connection

    def _answered(self, connection: Connection, received: Received) -> None:
        exchange, connection.exchange = connection.exchange, None
        connection.used = True
        if connection.reusable:
            self._idle.setdefault(connection.origin, deque()).append(connection)
        else:
            connection.end(Unreachable("closed"))
        if exchange:
            exchange.set_result(received)

    def _ended(self, connection: Connection, error: Exception | None) -> None:
        """What a connection that is closed carried is sent again, or fails."""
        self._open.discard(connection)
        idle = self._idle.get(connection.origin, deque())
        if connection in idle:
            idle.remove(connection)
        if not idle:
            self._idle.pop(connection.origin, None)
        exchange, connection.exchange = connection.exchange, None
        if exchange is None:
            return
        broken = not isinstance(error, TimedOut) and not self._closing
        if exchange.again and connection.used and not connection.answered and broken:
            self._connect(exchange)
        elif isinstance(error, TimedOut):
            exchange.set_exception(error)
        else:
            exchange.set_exception(Unreachable(str(error or "the connection was closed before the answer was whole")))

    def _sweep(self) -> None:
        """End what takes too long, again and again while there is anything under way."""
        now = monotonic()
        under_way = [connection for connection in self._open if connection.exchange]
        for connection in under_way:
            exchange = connection.exchange
            if exchange and exchange.deadline <= now:
                connection.end(TimedOut(f"no answer within {exchange.timeout:g} seconds"))
        self._sweeping = bool(under_way or self._connecting)
        if self._sweeping:
            self._loop.events.call_later(SWEEP_SECONDS, self._sweep)

    async def _end_all(self) -> None:
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        await self._names.close()
        for connection in list(self._open):
            if exchange := connection.exchange:
                connection.exchange = None
                exchange.set_exception(_stopping())
            connection.end(_stopping())


def _stopping() -> Unreachable:
    return Unreachable("the process is stopping")


def host_of(url: str) -> str:
    """The host that is called for a URL, in lower case; raises `ValueError` where there is none."""
    return _address(_origin_and_path(url)[0])[1]


@lru_cache
def _head(method: str, url: str, headers: tuple[str, ...]) -> tuple[str, bytes]:
    """The origin of a URL, empty where it cannot be one, and a request's head up to the number of bytes in its body."""
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
