"""HTTP calls to other peerbus processes, over connections that are kept."""

import selectors
import socket
import ssl
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from math import inf
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httptools

from peerbus.connection import Connection, Exchange, Received
from peerbus.later import Later
from peerbus.tls import trust
from peerbus.tls_socket import TlsSocket

CONNECTORS = 32
"""Connections being made at once."""
SWEEP_SECONDS = 0.1
"""How late a timeout may be noticed."""
PORTS = {"http": 80, "https": 443}


class Unreachable(Exception):
    """No connection, or it broke before an answer came."""


class TimedOut(Exception):
    """Connected, but no whole answer in time."""


class Transport:
    """Sends requests from any thread and brings the answers by one of its own, however many are under way.

    A request goes out in the thread that sends it where a kept connection is free; connections are made by
    threads that may block. Proxies in the environment are not used: the other side is ours.
    """

    def __init__(self, connect_timeout: float, ca: Path | None = None, most: float = inf) -> None:
        """`connect_timeout` is in seconds; servers must have a certificate by one in `ca`, or whom the system trusts.

        Answers of more than `most` bytes are not taken. Raises `StartError` for a file that has no certificate.
        """
        self._most = most
        self._trust = trust(ca) if ca else None
        self._connect_timeout = connect_timeout
        self._lock = threading.Lock()
        self._idle: dict[str, deque[Connection]] = {}
        self._open: set[Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._wake_up, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._asleep = False
        """Whether the reader waits for its sockets however long it takes."""
        self._closing = False
        self._connectors = ThreadPoolExecutor(CONNECTORS, thread_name_prefix="connecting")
        self._reader = threading.Thread(target=self._read, name="transport", daemon=True)
        self._reader.start()

    def send(self, method: str, url: str, body: bytes, headers: tuple[str, ...], timeout: float) -> Later[Received]:
        """Send one request; its answer comes within `timeout` seconds, or `TimedOut`.

        Or `Unreachable`, for a URL that cannot be one too. A request that a kept connection was closed on is sent
        once more on a new one: the other side closes a connection that it has not begun to answer on when it is idle.
        """
        origin, head = _head(method, url, headers)
        exchange = Exchange(origin, b"%b%d\r\n\r\n%b" % (head, len(body), body), timeout)
        if not origin:
            exchange.fail(Unreachable("the URL has characters that none may have"))
            return exchange
        with self._lock:
            idle = self._idle.get(exchange.origin)
            connection = idle.pop() if idle else None
            if connection:
                connection.begin(exchange)
        if connection:
            self._start(connection)
        else:
            self._connect(exchange)
        return exchange

    def close(self) -> None:
        """Close the connections; what is under way is `Unreachable`."""
        self._closing = True
        self._wake()
        self._reader.join()
        self._connectors.shutdown(wait=False, cancel_futures=True)
        for connection in list(self._open):
            self._end(connection, Unreachable("the process is stopping"))
        for own in (self._wake_up, self._woken):
            own.close()

    def _connect(self, exchange: Exchange) -> None:
        try:
            self._connectors.submit(self._start_anew, exchange)
        except RuntimeError:
            exchange.fail(Unreachable("the process is stopping"))

    def _start_anew(self, exchange: Exchange) -> None:
        try:
            sock = self._connected(exchange.origin, min(self._connect_timeout, exchange.timeout))
        except ssl.SSLCertVerificationError as error:
            exchange.fail(Unreachable(f"its certificate is not trusted, {error.verify_message.rstrip('.')}"))
            return
        except (OSError, ValueError) as error:
            exchange.fail(Unreachable(getattr(error, "strerror", None) or str(error)))
            return
        connection = Connection(exchange.origin, sock, self._most)
        with self._lock:
            connection.begin(exchange)
            self._open.add(connection)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._start(connection)

    def _connected(self, origin: str, timeout: float) -> socket.socket | TlsSocket:
        """A new connection, non-blocking; raises `OSError` and `ValueError`."""
        scheme, host, port = _address(origin)
        sock = socket.create_connection((host, port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if scheme == "http":
            sock.setblocking(False)
            return sock
        self._trust = self._trust or trust()
        secured = self._trust.wrap_socket(sock, server_hostname=host)
        secured.setblocking(False)
        return TlsSocket(secured)

    def _start(self, connection: Connection) -> None:
        """Send what `connection` has begun; the reader does the rest."""
        try:
            connection.send()
        except OSError as error:
            self._end(connection, error)
            return
        if connection.unsent:
            self._listen(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
        if self._asleep:
            self._wake()

    def _listen(self, connection: Connection, events: int) -> None:
        with self._lock:
            if connection in self._open:
                self._selector.modify(connection.socket, events, connection)

    def _wake(self) -> None:
        with suppress(OSError):
            self._wake_up.send(b"\0")

    def _read(self) -> None:
        swept = 0.0
        while not self._closing:
            ready = self._selector.select(SWEEP_SECONDS) or self._sleep()
            for key, events in ready:
                if key.data is None:
                    self._woken.recv(1024)
                else:
                    self._serve(key.data, events)
            if monotonic() - swept >= SWEEP_SECONDS:
                swept = monotonic()
                self._sweep(swept)

    def _sleep(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for the next thing to happen, if nothing is under way."""
        self._asleep = True
        try:
            under_way = any(connection.exchange for connection in list(self._open))
            return [] if under_way else self._selector.select()
        finally:
            self._asleep = False

    def _serve(self, connection: Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                connection.send()
                if not connection.unsent:
                    self._listen(connection, selectors.EVENT_READ)
            is_open = connection.receive() if events & selectors.EVENT_READ else True
            if connection.exchange is None:
                raise ConnectionError("nothing was asked")
        except (OSError, httptools.HttpParserError) as error:
            self._end(connection, error)
            return
        received = connection.received(closed=not is_open)
        if received:
            self._answer(connection, received, is_open)
        elif not is_open:
            self._end(connection, Unreachable("the connection was closed before the answer was whole"))

    def _answer(self, connection: Connection, received: Received, is_open: bool) -> None:
        with self._lock:
            exchange, connection.exchange = connection.exchange, None
            connection.used = True
            keep = is_open and connection.reusable and exchange is not None
            if keep:
                self._idle.setdefault(connection.origin, deque()).append(connection)
        if not keep:
            self._end(connection, Unreachable("closed"))
        if exchange:
            exchange.bring(received)

    def _end(self, connection: Connection, error: Exception) -> None:
        """Close a connection; what it carried is sent again, or fails."""
        with self._lock:
            exchange, connection.exchange = connection.exchange, None
            if connection in self._open:
                self._open.remove(connection)
                self._selector.unregister(connection.socket)
                connection.socket.close()
            with suppress(KeyError, ValueError):
                self._idle[connection.origin].remove(connection)
        if exchange is None:
            return
        if connection.used and not connection.answered and not isinstance(error, TimedOut) and not self._closing:
            self._connect(exchange)
            return
        known = error if isinstance(error, Unreachable | TimedOut) else Unreachable(str(error))
        exchange.fail(known)

    def _sweep(self, now: float) -> None:
        for connection in list(self._open):
            exchange = connection.exchange
            if exchange and exchange.deadline <= now:
                self._end(connection, TimedOut(f"no answer within {exchange.timeout:g} seconds"))


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
