"""Raw requests: how a table describes them, and how the answers on a connection are read and judged."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from peerbus.errors import MethodNotAllowed
from peerbus.http.dispatch import HandlerRoute
from peerbus.http.types import Head, Reply, Request, Route, Router
from tests.support.servers import Application

END = b"\r\n\r\n"
HOST = b"Host: localhost"
LIMIT = 100_000
"""Bytes of the largest body that the echoing application takes."""
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [ -~]*")
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")


def message(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([line, *fields, b"", body])


def get(*fields: bytes, body: bytes = b"") -> bytes:
    return message(b"GET /echo HTTP/1.1", HOST, *fields, body=body)


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return message(b"POST /echo HTTP/1.1", HOST, *fields, body=body)


def old(*fields: bytes, body: bytes = b"") -> bytes:
    return message(b"POST /echo HTTP/1.0", *fields, body=body)


def line(text: bytes) -> bytes:
    """A request of one line and a Host."""
    return message(text, HOST)


def chunked(body: bytes, *fields: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


class Verdict(NamedTuple):
    """What must become of the bytes sent on a connection: answers in order, then a connection kept or closed."""

    bodies: tuple[bytes, ...] = ()
    """Bodies that the echoing application must have seen; each is answered with 200."""
    statuses: tuple[int, ...] = ()
    """One more answer follows, whose status is one of these."""
    if_done: bytes | None = None
    """The body that the echoing application must have seen if that status is 200."""
    kept: bool | None = True
    """Whether the connection is kept; None where the server may choose."""
    silent: bool = False
    """Whether the connection may also be closed without that answer."""
    bodiless: bool = False
    """Whether the first answer is to a HEAD."""
    seen: Mapping[str, str | None] = MappingProxyType({})
    """What the application must have seen of the last of its requests."""


def accept(*bodies: bytes, kept: bool | None = True, bodiless: bool = False, **seen: str | None) -> Verdict:
    """The echoing application answers a request with each of these bodies; of one without a body by default."""
    return Verdict(bodies or (b"",), kept=kept, bodiless=bodiless, seen=seen)


def answer(*statuses: int, bodiless: bool = False) -> Verdict:
    """The application answers with one of these statuses, and the connection is kept."""
    return Verdict(statuses=statuses, bodiless=bodiless)


def decline(*statuses: int, if_done: bytes | None = None) -> Verdict:
    """It is answered with one of these statuses; the connection is closed if the answer says so, or else kept."""
    return Verdict((), statuses, if_done, kept=None)


def refuse(*statuses: int, after: tuple[bytes, ...] = (), silent: bool = False) -> Verdict:
    """It is answered with one of these statuses, and the connection is closed.

    The answer may be left out if the one before it, to the last of `after`, says that the connection is closed.
    """
    return Verdict(after, statuses, kept=False, silent=silent)


def close() -> Verdict:
    """The connection is closed without an answer."""
    return Verdict(kept=None)


class Row(NamedTuple):
    """What a client sends on a connection, the section of the RFC about it, and what must become of it."""

    section: str
    sent: bytes
    verdict: Verdict
    fin: bool = False
    """Whether the client ends sending there; if not, another request follows."""


AFTER = message(b"GET /echo/after HTTP/1.1", HOST, b"Connection: close")
CANARY = message(b"GET /canary HTTP/1.1", HOST)


def echoing(router: Router, done: list[bytes]) -> Router:
    """Routes of an application that echoes below /echo and notes each body in `done`; `router` finds all others.

    GET and POST of /echo itself are answered in the loop, all else below it in a thread.
    """

    def echo(request: Request) -> Reply:
        head = request.head
        if head.method not in METHODS:
            raise MethodNotAllowed("This path does not take it.")
        done.append(request.body)
        seen = {"host": head.headers.get("host"), "own": head.headers.get("x-own")}
        seen |= {"query": head.query, "path": head.path, "body": request.body.decode("latin-1")}
        return Reply(200, json.dumps(seen).encode(), ())

    def route_of(answer: Callable[[Request], Reply], in_loop: bool) -> HandlerRoute:
        return HandlerRoute("echo", Application(answer, LIMIT), lambda *_: None, in_loop=in_loop)

    here, in_thread = route_of(echo, True), route_of(echo, False)
    canary = route_of(lambda _: Reply(204, b"", ()), True)

    def route(head: Head) -> Route:
        if head.path == "/canary":
            return canary
        if not head.path.startswith("/echo"):
            return router(head)
        return here if head.path == "/echo" and head.method in ("GET", "POST") else in_thread

    return route


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


def answers(stream: bytes, bodiless: bool) -> Iterator[Answer]:
    """The answers that came on a connection; the first is to a HEAD if it is `bodiless`."""
    while stream:
        head, end, stream = stream.partition(END)
        status_line, *lines = head.split(b"\r\n")
        match = STATUS_LINE.fullmatch(status_line)
        assert match, (status_line, stream)
        assert end, head
        status = int(match[1])
        fields = [field.decode("latin-1").partition(": ") for field in lines]
        headers = {name.lower(): value for name, _, value in fields}
        assert len(headers) == len(lines), head
        has_none = bodiless or status in (100, 204)
        length = 0 if has_none else int(headers["content-length"])
        assert len(stream) >= length, (head, stream)
        yield Answer(status, headers, stream[:length])
        stream = stream[length:]
        bodiless = bodiless and status == 100


def judge(row: Row, ended: bool, received: bytes, done: list[bytes]) -> None:
    """Assert what a row says, given all that was received; a follower was sent unless the client `ended` sending."""
    verdict = row.verdict
    came = list(answers(received, verdict.bodiless))
    final = [each for each in came if each.status != 100]
    shown = [(each.status, each.headers.get("connection"), each.body) for each in final]
    assert came == final or b"100-continue" in row.sent.lower(), shown
    before = final[: len(verdict.bodies)]
    may_be_silent = verdict.silent or (ended and END not in row.sent) or (before and before[-1].closes)
    silent = bool(verdict.statuses and may_be_silent and len(final) == len(verdict.bodies))
    due = len(verdict.bodies) + (bool(verdict.statuses) and not silent)
    answered, rest = final[:due], final[due:]
    assert len(answered) == due, f"too few answers: {shown}"
    echoed, last = answered[: len(verdict.bodies)], answered[len(verdict.bodies) :]
    expected = [*verdict.bodies]
    if last:
        assert last[0].status in verdict.statuses, shown
        if last[0].status == 200 and verdict.if_done is not None:
            echoed, expected = [*echoed, last[0]], [*expected, verdict.if_done]
    for each, body in zip(echoed, expected, strict=True):
        assert each.status == 200, shown
        if not verdict.bodiless or each is not echoed[0]:
            seen = json.loads(each.body)
            assert seen["body"].encode("latin-1") == body, shown
            if each is echoed[-1]:
                assert {name: seen[name] for name in verdict.seen} == verdict.seen
    closed = not answered or answered[-1].closes
    if answered and not silent and (verdict.kept is False or (verdict.kept and not ended)):
        assert closed == (not verdict.kept), shown
    followed = not (ended or closed)
    assert [b'"/echo/after"' in each.body for each in rest] == [True] * followed, shown
    assert done == expected + [b""] * followed, f"done: {done}"
    assert all(DATE.fullmatch(each.headers.get("date", "")) for each in final), "an answer without a Date"
