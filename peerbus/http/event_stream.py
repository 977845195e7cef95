"""Topics as streams of server-sent events: `GET /stream`.

The format is what a browser's EventSource reads
(https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from peerbus.errors import BadRequest, OriginNotAllowed, TooManyStreams
from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.handler import Guard
from peerbus.http.request import decode_query
from peerbus.http.types import Head, Reply, Request, Sink
from peerbus.wire.protocol import StreamRequest

PATH = "/stream"
MAX_STREAMS = 5000
SCRIPTED = ("cors", "same-origin")
"""Modes of a browser's request for a script, with which it names a foreign origin (https://www.w3.org/TR/fetch-metadata)."""
CONTENT_TYPE = "text/event-stream"
HEADERS = (("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))
"""The last keeps nginx from holding events back."""
PING = b": ping\n\n"
"""A comment, which shows that the connection is open."""


class Wanted(NamedTuple):
    """A stream that a reader asks for.

    The reader has read the event `last_id` of an earlier stream, if any. `check` checks the request each time
    something is done for it, and may raise.
    """

    request: StreamRequest
    last_id: int | None
    check: Callable[[], None]


class Stream(Protocol):
    """A stream that can begin."""

    async def send(self, sink: Sink) -> None:
        """Send events until the stream ends or its reader is gone; a fault becomes the last event."""

    def abandon(self) -> None:
        """End the stream before anything of it was sent."""


class Source(Protocol):
    """Where streams come from."""

    async def open(self, wanted: Wanted) -> Stream:
        """A stream; raises the error that the reader is refused with."""


class Streams:
    """Answers requests for streams, each with a coroutine of its own in the event loop."""

    max_body = 0

    def __init__(
        self,
        source: Source,
        loop: Loop,
        limit: int = MAX_STREAMS,
        guards: Sequence[Guard] = (),
        complete: Callable[[str], str] = lambda query: query,
    ) -> None:
        """At most `limit` streams may be open at once, for callers that the `guards` admit.

        `complete` adds the fields that the service fills in to a query string; it may raise.
        """
        self.guards = guards
        self._source = source
        self._loop = loop
        self._limit = limit
        self._complete = complete
        self.count = 0
        """Streams that are open."""

    def __call__(self, request: Request) -> Future[Reply]:
        """Open a stream.

        Raises `TooManyStreams`, `OriginNotAllowed`, and `BadRequest` for wrong fields or the id of a last event that
        is none; the future has the error of the source.
        """
        head = request.head
        _refuse_embedding(head)
        fields = decode_query(self._complete(head.query), StreamRequest)
        wanted = Wanted(fields, _last_id(head, fields), partial(_check, request, fields))
        if self.count >= self._limit:
            raise TooManyStreams(f"{self._limit} streams are open, which is as many as there may be.")
        self.count += 1
        return self._loop.run(self._open(wanted))

    async def _open(self, wanted: Wanted) -> Reply:
        try:
            stream = await self._source.open(wanted)
        except BaseException:
            self.count -= 1
            raise
        return Reply(200, b"", HEADERS, partial(self._abandon, stream), partial(self._send, stream))

    async def _send(self, stream: Stream, sink: Sink) -> None:
        try:
            await stream.send(sink)
        finally:
            self.count -= 1

    def _abandon(self, stream: Stream) -> None:
        self.count -= 1
        stream.abandon()


def event(data: bytes, number: int | None = None, name: str | None = None) -> bytes:
    """One event. JSON may have line breaks between its tokens: each line is sent by itself, for the reader to join."""
    lines = [b"data: " + line for line in data.splitlines()]
    if number is not None:
        lines.insert(0, b"id: %d" % number)
    if name is not None:
        lines.insert(0, b"event: " + name.encode())
    return b"\n".join(lines) + b"\n\n"


def _check(request: Request, fields: StreamRequest) -> None:
    for check in request.checks:
        check(fields)


def _refuse_embedding(head: Head) -> None:
    """Refuse a stream that a page loads as an image, a script or a link: it would take messages, and has no Origin."""
    if head.headers.get("sec-fetch-mode", SCRIPTED[0]) not in SCRIPTED:
        raise OriginNotAllowed("A page can follow a topic by EventSource or fetch alone.")


def _last_id(head: Head, fields: StreamRequest) -> int | None:
    """The id in the header, else the one in the query: a browser that reconnects sends the later one in the header."""
    given, place = head.headers.get("last-event-id", ""), "in Last-Event-ID"
    if not given:
        given, place = fields.last_event_id, "at $.lastEventId"
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(2**53))):
        raise BadRequest(f"Expected the id of an event, a whole number - {place}")
    return int(given)
