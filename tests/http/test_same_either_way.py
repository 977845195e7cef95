"""A conversation goes the same through the indexing server, and any way to the calls alone."""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager

from tests.support.connections import JSON, RawReply, call
from tests.support.endpoints import EIGHT_CALLS, EXAMPLES, ROWS, Row
from tests.support.harness import Api, start_index
from tests.support.servers import MEMBER, WAYS, serve

Call = tuple[str, str, bytes, dict[str, str]]


def conversation() -> Iterator[Call]:
    """The eight calls, then every row called well and badly, then what no row knows."""
    for method, path, fields, _ in EIGHT_CALLS:
        yield method, path, b"" if fields is None else json.dumps(fields).encode(), JSON
    for row in ROWS:
        if row.path != "/stats":  # which tells the time
            yield from calls_of(row)
    yield "GET", "/nowhere", b"", {}
    yield "POST", "/nothing", b"", JSON


def calls_of(row: Row) -> Iterator[Call]:
    good = json.dumps(EXAMPLES[row.path].fields).encode()
    for body in (b"", b"[]", b'{"x": 1}', b"{", b"\xff", good, good):
        yield row.method, row.path, body, JSON
    for path in (f"{row.path}?x=1", f"{row.path}/", f"/{row.path}"):
        yield row.method, path, b"", {}
    for method in ("PUT", "OPTIONS", "HEAD"):
        yield method, row.path, b"", {}
    yield row.method, row.path, good, {}


def replies_of(server: AbstractContextManager[Api]) -> list[RawReply]:
    with server as api:
        return [comparable(call(api, *each)) for each in conversation()]


def comparable(reply: RawReply) -> RawReply:
    """Without what differs from one life of a server to the next."""
    headers = {name: value for name, value in reply.headers.items() if name not in ("date", "server")}
    return RawReply(reply.status, headers, re.sub(rb'"(epoch|ticket)":"[\w-]+"', rb'"\1"', reply.body))


def test_a_conversation_is_answered_the_same_any_way() -> None:
    servers = (start_index(), *map(serve, [*WAYS, MEMBER]))
    for made, *replies in zip(conversation(), *map(replies_of, servers), strict=True):
        assert all(reply == replies[0] for reply in replies), made


def test_a_small_body_that_nobody_reads_is_refused_the_same_any_way_on_a_connection_that_is_kept() -> None:
    for server in (start_index(), *map(serve, [*WAYS, MEMBER])):
        with server as api:
            reply = comparable(call(api, "POST", "/nothing", b"{}"))
        assert (reply.status, set(reply.headers)) == (404, {"content-type", "cache-control", "content-length"})
        assert reply.json() == {"code": "not_found", "message": "There is no call POST /nothing."}
