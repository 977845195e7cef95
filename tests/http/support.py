"""The ways to an endpoint, a valid request for each row of the table, and connections that carry any bytes."""

import http.client
import io
import json
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, Self, cast
from urllib.parse import urlsplit

import msgspec

from peerbus.broker import Broker, Limits
from peerbus.http.dispatch import OTHER, Dispatch, HandlerRoute
from peerbus.http.docs import examples
from peerbus.http.flask_app import FlaskHandler, create_app
from peerbus.http.handler import CallHandler, Handler
from peerbus.http.listener import bind
from peerbus.http.timeouts import TIMEOUTS, Timeouts
from peerbus.http.types import Router
from peerbus.server.calls import CALLS
from peerbus.wire.endpoints import ENDPOINTS, HEALTH, Endpoint
from tests.support.harness import DEADLINE, MAX_BODY, Api, tended
from tests.support.servers import running_loop, start_server

Row = Endpoint
Handlers = Mapping[Endpoint, Handler]

Call = Callable[[Any], Any]
"""Answers the request of a row."""

ROWS: tuple[Row, ...] = (*ENDPOINTS, *HEALTH)


def calls_of(broker: Broker) -> dict[Row, Call]:
    """Each row with its call of this broker."""
    return {row: partial(CALLS[row.name], broker) for row in ROWS}


def through_dispatch(handlers: Handlers) -> Router:
    """Known calls past Flask."""
    return Dispatch(FlaskHandler(create_app(handlers)), handlers).route


def through_flask(handlers: Handlers) -> Router:
    """Every call through Flask's own routes; a pull that waits holds a thread."""
    route = HandlerRoute(
        OTHER,
        FlaskHandler(create_app(handlers), max(handler.max_body for handler in handlers.values())),
        lambda *_: None,
        in_loop=False,
    )
    return lambda _: route


WAYS: dict[str, Callable[[Handlers], Router]] = {"dispatch": through_dispatch, "flask": through_flask}
"""How requests come to handlers."""
JSON = {"Content-Type": "application/json"}


PEER = {"peer_id": "peer1"}
TOPIC = {"topic": "news"}


class Example(NamedTuple):
    """The fields of a valid request, once a peer is subscribed as `prepare` does, and the names of its answer's."""

    fields: dict[str, Any]
    answer: set[str]


def example_of(row: Row) -> Example:
    fields, answer = (json.loads(msgspec.json.encode(each)) for each in examples.EXAMPLES[row.name])
    return Example(fields, set(answer))


EXAMPLES = {row.path: example_of(row) for row in ROWS}


def prepare(api: Api) -> None:
    api.subscriber("peer1", "news")


def name_of(value: object) -> str | None:
    """Names the row in the id of a parametrised test."""
    return value.name if isinstance(value, Endpoint) else None


@contextmanager
def serve(
    way: str,
    more: Mapping[Row, Call] | None = None,
    *,
    broker: Broker | None = None,
    max_body: int = MAX_BODY,
    threads: int = 64,
    timeouts: Timeouts = TIMEOUTS,
    host: str = "127.0.0.1",
    **limits: Any,
) -> Iterator[Api]:
    """All rows, and `more` of them with what answers them, served one way over a broker of its own."""
    target = broker or Broker(Limits(**limits))
    with tended(target), running_loop() as loop:
        handlers = {
            row: CallHandler(row, call, max_body, loop.run_steps)
            for row, call in (calls_of(target) | dict(more or {})).items()
        }
        with start_server(
            WAYS[way](handlers), loop, bind(host, 0), threads, before_stop=target.close, timeouts=timeouts
        ) as api:
            yield api


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
