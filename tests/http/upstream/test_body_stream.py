"""Bodies that are read while they come."""

import asyncio
import select
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from peerbus.http.event_loop import Loop
from peerbus.http.upstream.body_stream import MAX_BUFFERED, BodyStream
from peerbus.http.upstream.errors import StreamClosed, TimedOut, Unreachable, UpstreamError
from peerbus.http.upstream.exchange import Response
from peerbus.http.upstream.pool import ConnectionPool
from tests.support.fakes import http
from tests.support.harness import DEADLINE

CHUNKED = b"HTTP/1.1 200 OK\r\nX-Own: yes\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nX-Own: yes\r\n\r\n"
WHOLE = b"0\r\n\r\n"
ONE_READ = 1 << 18
"""The most bytes that the loop reads from a connection at once."""
BLOCKED_SECONDS = 0.5
"""A sender that could not send for so long is held up."""


def chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


class Follower:
    """A pool that opens streams, and the server that a test sends them from by hand."""

    def __init__(self, loop: Loop, ca: Path | None = None) -> None:
        self.loop = loop
        self.pool = ConnectionPool(loop, DEADLINE, ca)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE)
        self.url = f"http{'s' * bool(ca)}://127.0.0.1:{self.listener.getsockname()[1]}"

    def opening(self, timeout: float = DEADLINE, silence: float = DEADLINE) -> "Future[BodyStream | Response]":
        opening = self.pool.open(f"{self.url}/stream?a=b", ("X-Asked: yes",), timeout, silence)
        return asyncio.run_coroutine_threadsafe(opening, self.loop.events)

    def accept(self) -> socket.socket:
        """The server's end of the next connection."""
        connection, _ = self.listener.accept()
        connection.settimeout(DEADLINE)
        return connection

    def stream(self, head: bytes = CHUNKED, silence: float = DEADLINE) -> tuple[BodyStream, socket.socket]:
        """A stream, and the connection that its server sends it on."""
        opening = self.opening(silence=silence)
        connection = self.accept()
        assert request_on(connection).startswith(b"GET /stream?a=b HTTP/1.1\r\n")
        connection.sendall(head)
        stream = opening.result(DEADLINE)
        assert isinstance(stream, BodyStream)
        assert stream.headers[b"x-own"] == b"yes"
        return stream, connection

    def reading(self, stream: BodyStream) -> "Future[bytes]":
        return asyncio.run_coroutine_threadsafe(stream.__anext__(), self.loop.events)

    def next(self, stream: BodyStream) -> bytes:
        return self.reading(stream).result(DEADLINE)

    def rest(self, stream: BodyStream) -> list[bytes]:
        """The parts that come until the end; raises what the end is."""

        async def read() -> list[bytes]:
            return [part async for part in stream]

        return asyncio.run_coroutine_threadsafe(read(), self.loop.events).result(DEADLINE)

    def in_loop(self, function: Any) -> None:
        async def call() -> None:
            function()

        self.loop.wait_for(call())


def request_on(connection: socket.socket) -> bytes:
    came = b""
    while b"\r\n\r\n" not in came:
        came += connection.recv(1 << 16)
    return came


def hung_up(connection: socket.socket) -> bool:
    """Whether the other side closes the connection, waited for."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@contextmanager
def start_follower(ca: Path | None = None) -> Iterator[Follower]:
    loop = Loop("upstream")
    follower = Follower(loop, ca)
    yield follower
    follower.pool.close()
    follower.listener.close()
    loop.close()


@pytest.fixture
def follower() -> Iterator[Follower]:
    with start_follower() as follower:
        yield follower


def test_parts_arrive_as_they_are_sent_and_the_connection_is_kept(follower: Follower) -> None:
    stream, connection = follower.stream()
    with connection:
        for part in (b"one", b"two", b"x" * 10_000):
            connection.sendall(chunk(part))
            came = follower.next(stream)
            while len(came) < len(part):
                came += follower.next(stream)
            assert came == part
        connection.sendall(WHOLE)
        assert follower.rest(stream) == []
        sent = follower.pool.send("POST", follower.url, b"", (), DEADLINE)
        assert request_on(connection).startswith(b"POST / ")
        connection.sendall(http(200, b"after"))
        assert sent.result(DEADLINE).body == b"after"


def test_a_part_is_all_that_came_since_the_one_before(follower: Follower) -> None:
    stream, connection = follower.stream(CHUNKED + chunk(b"one") + chunk(b"two") + WHOLE)
    with connection:
        assert follower.rest(stream) == [b"onetwo"]
        assert follower.rest(stream) == []


def test_a_body_without_a_length_is_whole_when_the_connection_closes(follower: Follower) -> None:
    stream, connection = follower.stream(UNTIL_CLOSED)
    with connection:
        connection.sendall(b"one")
        assert follower.next(stream) == b"one"
        connection.sendall(b"two")
    assert b"".join(follower.rest(stream)) == b"two"


def test_a_body_with_a_length_that_is_not_reached_is_broken(follower: Follower) -> None:
    stream, connection = follower.stream(b"HTTP/1.1 200 OK\r\nX-Own: yes\r\nContent-Length: 5\r\n\r\n")
    with connection:
        connection.sendall(b"one")
    assert follower.next(stream) == b"one"
    with pytest.raises(Unreachable):
        follower.next(stream)


def send_until_held_up(connection: socket.socket) -> int:
    """Send until the other side takes no more; returns the bytes sent."""
    sent = 0
    connection.setblocking(False)
    while select.select([], [connection], [], BLOCKED_SECONDS)[1]:
        with suppress(ssl.SSLWantWriteError):
            sent += connection.send(b"x" * (1 << 16))
        assert sent < 64 << 20, "nothing holds the sender up"
    return sent


def test_a_reader_that_does_not_read_holds_up_the_sender(follower: Follower) -> None:
    stream, connection = follower.stream(UNTIL_CLOSED + b"x" * MAX_BUFFERED, silence=BLOCKED_SECONDS / 2)
    with connection:
        sent = MAX_BUFFERED + send_until_held_up(connection)
    parts = follower.rest(stream)
    assert sum(map(len, parts)) == sent
    assert max(map(len, parts)) <= MAX_BUFFERED + ONE_READ


def test_a_reader_that_does_not_read_holds_up_the_sender_behind_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with start_follower(tmp_path / "ca.pem") as follower:
        follower.listener = context.wrap_socket(follower.listener, server_side=True)
        stream, connection = follower.stream(CHUNKED + b"4000000\r\n")
        with connection:
            sent = send_until_held_up(connection)
            came = 0
            while came < sent:
                part = follower.next(stream)
                came += len(part)
                assert len(part) <= MAX_BUFFERED + 2 * ONE_READ


def test_a_stream_that_falls_silent_times_out_after_what_came(follower: Follower) -> None:
    stream, connection = follower.stream(CHUNKED + chunk(b"one"), silence=0.1)
    with connection:
        assert follower.next(stream) == b"one"
        with pytest.raises(TimedOut):
            follower.next(stream)
        assert hung_up(connection)


def test_closing_a_stream_wakes_its_reader_and_hangs_up(follower: Follower) -> None:
    stream, connection = follower.stream()
    with connection:
        reading = follower.reading(stream)
        follower.in_loop(stream.close)
        with pytest.raises(StreamClosed):
            reading.result(DEADLINE)
        assert hung_up(connection)


def test_what_came_before_a_stream_was_closed_is_not_read_after(follower: Follower) -> None:
    stream, connection = follower.stream(CHUNKED + chunk(b"one"))
    with connection:
        follower.in_loop(stream.close)
        with pytest.raises(StreamClosed):
            follower.next(stream)


@pytest.mark.parametrize("last", [b"", b"5\r\nab", b"not a chunk\r\n"])
def test_a_stream_that_breaks_off_is_unreachable_after_what_came(follower: Follower, last: bytes) -> None:
    stream, connection = follower.stream()
    with connection:
        connection.sendall(chunk(b"one"))
        assert follower.next(stream) == b"one"
        connection.sendall(last)
    with pytest.raises(Unreachable):
        follower.rest(stream)


def test_another_status_comes_whole_and_the_connection_is_kept(follower: Follower) -> None:
    opening = follower.opening()
    with follower.accept() as connection:
        for _ in range(2):
            assert b"X-Asked: yes" in request_on(connection)
            connection.sendall(http(404, b'{"code": "topic_not_found"}'))
            response = opening.result(DEADLINE)
            assert isinstance(response, Response)
            assert (response.status, response.body) == (404, b'{"code": "topic_not_found"}')
            opening = follower.opening()
        request_on(connection)
        connection.sendall(CHUNKED)
        assert isinstance(opening.result(DEADLINE), BodyStream)


def test_a_kept_connection_that_was_closed_is_replaced(follower: Follower) -> None:
    sent = follower.pool.send("GET", follower.url, b"", (), DEADLINE)
    with follower.accept() as connection:
        request_on(connection)
        connection.sendall(http(200))
        assert sent.result(DEADLINE).status == 200
        opening = follower.opening()
        request_on(connection)
    with follower.accept() as connection:
        request_on(connection)
        connection.sendall(CHUNKED)
        assert isinstance(opening.result(DEADLINE), BodyStream)


def test_a_body_of_known_length_is_a_stream_too(follower: Follower) -> None:
    answer = http(200, b"one", "text/plain", "X-Own: yes")
    sent = follower.pool.send("GET", follower.url, b"", (), DEADLINE)
    with follower.accept() as connection:
        request_on(connection)
        connection.sendall(answer)
        assert sent.result(DEADLINE).body == b"one"
        opening = follower.opening()
        request_on(connection)
        connection.sendall(answer)
        stream = opening.result(DEADLINE)
        assert isinstance(stream, BodyStream)
        assert follower.rest(stream) == [b"one"]


def test_a_head_that_does_not_come_in_time_is_a_timeout(follower: Follower) -> None:
    opening = follower.opening(timeout=0.1)
    with follower.accept(), pytest.raises(TimedOut):
        opening.result(DEADLINE)


def test_who_no_longer_waits_for_a_stream_leaves_none_open(follower: Follower) -> None:
    opening = follower.opening()
    with follower.accept() as connection:
        request_on(connection)
        opening.cancel()
        follower.in_loop(lambda: None)
        connection.sendall(CHUNKED + chunk(b"one"))
        assert hung_up(connection)


def test_closing_the_pool_ends_streams_and_keeps_new_ones_out(follower: Follower) -> None:
    stream, connection = follower.stream()
    with connection:
        reading = follower.reading(stream)
        follower.pool.close()
        ended: list[Future[Any]] = [reading, follower.opening()]
        for each in ended:
            with pytest.raises(UpstreamError, match="stopping"):
                each.result(DEADLINE)
        assert hung_up(connection)
