"""What the server makes of raw requests, good and bad: the same in whatever pieces they come (RFC 9110, RFC 9112)."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest

from peerbus.broker import Broker
from peerbus.http.handler import CallHandler
from peerbus.http.listener import bind
from tests.http import raw_bodies, raw_chunks, raw_fields, raw_lines, raw_sequences
from tests.http.raw import AFTER, CANARY, HOST, LIMIT, Answer, Row, answers, echoing, get, judge, message, old, post
from tests.support.connections import Connection
from tests.support.harness import Api, tended
from tests.support.servers import calls_of, running_loop, start_server, through_dispatch

TABLES = (raw_lines.TABLE, raw_fields.TABLE, raw_bodies.TABLE, raw_chunks.TABLE, raw_sequences.TABLE)
ROWS = {name: row for table in TABLES for name, row in table.items()}
MOST_CUTS = 12
MOST_PIECES = 1000


class Target(NamedTuple):
    api: Api
    done: list[bytes]
    """The bodies of the requests that the echoing application answered."""


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A server with the real calls, and an application that echoes."""
    done: list[bytes] = []
    broker = Broker()
    with tended(broker), running_loop() as loop:
        handlers = {row: CallHandler(row, call, LIMIT, loop.run_steps) for row, call in calls_of(broker).items()}
        router = echoing(through_dispatch(handlers), done)
        with start_server(router, loop, bind("127.0.0.1", 0), 4) as api:
            yield Target(api, done)


def converse(target: Target, row: Row, pieces: list[bytes], ended: bool) -> None:
    """Send pieces on a connection, each read by the server before the next is sent, and judge what comes back."""
    target.done.clear()
    with Connection(target.api.url) as connection, Connection(target.api.url) as canary:
        for piece in pieces[:-1]:
            connection.send_what_is_taken(piece)
            until_read(canary)
        connection.send_what_is_taken(pieces[-1])
        if ended:
            with suppress(OSError):  # it may be closed already
                connection.end_sending()
        received = connection.received()
    judge(row, ended, received, target.done)


def until_read(canary: Connection) -> None:
    """Wait until the server has read what was sent before: it reads all connections in one thread, in their order."""
    canary.send(CANARY)
    assert canary.head().startswith(b"HTTP/1.1 204 ")


def whole(row: Row) -> Iterator[list[bytes]]:
    yield [row.sent] if row.fin else [row.sent, AFTER]


def with_the_next(row: Row) -> Iterator[list[bytes]]:
    if not row.fin:
        yield [row.sent + AFTER]


def cut_at_a_line_end(row: Row) -> Iterator[list[bytes]]:
    ends = [at + 2 for at in range(len(row.sent) - 2) if row.sent.startswith(b"\r\n", at)]
    if len(ends) > MOST_CUTS:
        ends = ends[: MOST_CUTS // 2] + ends[-MOST_CUTS // 2 :]
    for end in ends:
        pieces = [row.sent[:end], row.sent[end:]]
        yield pieces if row.fin else [*pieces, AFTER]


def byte_by_byte(row: Row) -> Iterator[list[bytes]]:
    """Long ones in larger pieces."""
    size = 1 + len(row.sent) // MOST_PIECES
    pieces = [row.sent[at : at + size] for at in range(0, len(row.sent), size)] or [b""]
    yield pieces if row.fin else [*pieces, AFTER]


WAYS = (whole, with_the_next, cut_at_a_line_end, byte_by_byte)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", ROWS)
def test_a_request_is_judged_the_same_however_it_comes(
    target: Target, name: str, way: Callable[[Row], Iterator[list[bytes]]]
) -> None:
    row = ROWS[name]
    for pieces in way(row):
        converse(target, row, pieces, row.fin)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.fin])
def test_a_request_is_judged_the_same_where_the_client_sends_no_more(target: Target, name: str) -> None:
    converse(target, ROWS[name], [ROWS[name].sent], ended=True)


@pytest.mark.parametrize(
    "head",
    [
        post(b"Expect: 100-continue", b"Content-Length: 2"),
        post(b"Expect: 100-Continue", b"Content-Length: 2"),
        post(b"Expect: 100-continue", b"Content-Length: 2", b"Connection: Upgrade", b"Upgrade: h2c"),
    ],
)
def test_a_client_that_expects_100_continue_gets_it_once_before_its_body(target: Target, head: bytes) -> None:
    with Connection(target.api.url) as connection:
        for _ in range(2):
            connection.send(head)
            assert connection.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.send(b"hi")
            assert connection.reply().json()["body"] == "hi"


def test_chunks_are_asked_for_by_100_continue(target: Target) -> None:
    with Connection(target.api.url) as connection:
        connection.send(post(b"Expect: 100-continue", b"Transfer-Encoding: chunked"))
        assert connection.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"2\r\nhi\r\n0\r\n\r\n")
        assert connection.reply().json()["body"] == "hi"


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (get(b"Expect: 100-continue"), b""),
        (post(b"Expect: 100-continue", b"Content-Length: 0"), b""),
        (old(b"Expect: 100-continue", b"Content-Length: 2"), b"hi"),
    ],
)
def test_no_100_continue_is_sent_to_1_0_or_where_there_is_no_body(target: Target, sent: bytes, body: bytes) -> None:
    with Connection(target.api.url) as connection, Connection(target.api.url) as canary:
        connection.send(sent)
        until_read(canary)
        connection.send(body)
        assert connection.head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", [b"/echo", b"/echo?a=b", b"/livez", b"/topics", b"/nowhere", b"/publish", b"/"])
def test_head_has_the_status_and_headers_of_get(target: Target, path: bytes) -> None:
    received: list[Answer] = []
    for method in (b"GET", b"HEAD"):
        with Connection(target.api.url) as connection:
            connection.send(message(method + b" " + path + b" HTTP/1.1", HOST, b"Connection: close"))
            received.append(*answers(connection.received(), bodiless=method == b"HEAD"))
    for each in received:
        del each.headers["date"]
    assert received[0][:2] == received[1][:2], received
