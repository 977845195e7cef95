"""Topics as streams of server-sent events: `GET /stream`.

The format is what a browser's EventSource reads
(https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

from peerbus.errors import BadRequest, OriginNotAllowed, PeerbusError, StreamReplaced, TooManyStreams
from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.handler import Guard
from peerbus.http.reply import failure_body
from peerbus.http.request import decode_query
from peerbus.http.types import Head, Headers, Reply, Request, Sink
from peerbus.wire.protocol import StreamRequest

PATH = "/stream"
MAX_STREAMS = 5000
SCRIPTED = ("cors", "same-origin")
"""Modes of a browser's request for a script, with which it names a foreign origin (https://www.w3.org/TR/fetch-metadata)."""
CONTENT_TYPE = "text/event-stream"
HEADERS: Headers = (
    ("Content-Type", f"{CONTENT_TYPE}; charset=utf-8"),
    ("Cache-Control", "no-store, no-transform"),
    ("X-Accel-Buffering", "no"),
)
"""`no-transform` keeps proxies from compressing, and so holding back, events; the last keeps nginx from it."""
PING = b": ping\n\n"
"""A comment, which shows that the connection is open."""


NOT_KEPT = HEADERS[1:]
REPLACED: Literal["stream_replaced"] = "stream_replaced"
"""The id of the last event of a stream that another one replaced. A browser that reconnects says that it has this
event, and is answered with 204, after which it tries no more: otherwise the two would replace each other for ever."""
PLACE_LOST = "The reader of this stream came back while all streams were open, and follows the topic by another one."


class Wanted(NamedTuple):
    """A stream that a reader asks for.

    The reader has read the event `last_id` of an earlier stream, if any. `check` checks the request each time
    something is done for it, and may raise. `head` is that of the HTTP request.
    """

    request: StreamRequest
    last_id: int | None
    check: Callable[[], None]
    head: Head


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

    async def check(self, wanted: Wanted) -> None:
        """Raise the error that the reader would be refused with; hand nothing over."""


class Place:
    """The place of a stream among those that may be open at once."""

    __slots__ = ("_is_lost", "_sending", "request")

    def __init__(self, request: StreamRequest) -> None:
        self.request = request
        self._sending: asyncio.Task[None] | None = None
        self._is_lost = False

    def is_of(self, request: StreamRequest) -> bool:
        """Whether its stream has the messages of the same peer and topic."""
        return (self.request.peer_id, self.request.topic) == (request.peer_id, request.topic)

    def lose(self) -> None:
        """End the stream: another one has its place."""
        self._is_lost = True
        if self._sending:
            self._sending.cancel()

    async def send(self, stream: Stream, sink: Sink) -> None:
        """Send a stream until it ends or loses its place."""
        self._sending = asyncio.current_task()
        try:
            if self._is_lost:
                stream.abandon()
            else:
                await stream.send(sink)
        except asyncio.CancelledError:
            if not self._is_lost:
                raise
        if self._is_lost:
            await sink.write(last_event(StreamReplaced(PLACE_LOST)))


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
        self._places: dict[Place, None] = {}
        """Of the open streams, the oldest first."""

    @property
    def count(self) -> int:
        """Streams that are open."""
        return len(self._places)

    def __call__(self, request: Request) -> Reply | Future[Reply]:
        """Open a stream; a HEAD is answered as if one were opened, and a reader that read that it was replaced by 204.

        Raises `TooManyStreams`, `OriginNotAllowed`, and `BadRequest` for wrong fields or the id of a last event that
        is none; the future has the error of the source. A reader whose `Accept` has the type of a stream gets an error
        that may pass as the last event of a stream: after another status than 200, a browser does not try again.
        """
        head = request.head
        _refuse_embedding(head)
        fields = decode_query(self._complete(head.query), StreamRequest)
        last_id, check = _last_id(head, fields), partial(_check, request, fields)
        check()
        if last_id == REPLACED:
            return Reply(204, b"", NOT_KEPT)
        wanted = Wanted(fields, last_id, check, head)
        opened = self._checked(wanted) if head.method == "HEAD" else self._opened(wanted)
        return self._loop.run(_or_try_again(opened) if CONTENT_TYPE in head.headers.get("accept", "") else opened)

    async def _opened(self, wanted: Wanted) -> Reply:
        replaced = self._replaced(wanted)
        if replaced:
            del self._places[replaced]
            replaced.lose()
        place = Place(wanted.request)
        self._places[place] = None
        try:
            stream = await self._source.open(wanted)
        except BaseException:
            self._places.pop(place, None)
            raise
        return Reply(200, b"", HEADERS, partial(self._abandon, place, stream), partial(self._send, place, stream))

    async def _checked(self, wanted: Wanted) -> Reply:
        self._replaced(wanted)
        await self._source.check(wanted)
        return Reply(200, b"", HEADERS, stream=_send_nothing)

    def _replaced(self, wanted: Wanted) -> Place | None:
        """The place that a stream takes from another one: none unless all are taken. Raises `TooManyStreams`.

        A reader that comes back takes that of its earlier stream, whose connection may be dead without a sign of it.
        """
        if self.count < self._limit:
            return None
        if wanted.last_id is not None:
            for place in self._places:
                if place.is_of(wanted.request):
                    return place
        raise TooManyStreams(f"{self._limit} streams are open, which is as many as there may be.")

    async def _send(self, place: Place, stream: Stream, sink: Sink) -> None:
        try:
            await place.send(stream, sink)
        finally:
            self._places.pop(place, None)

    def _abandon(self, place: Place, stream: Stream) -> None:
        self._places.pop(place, None)
        stream.abandon()


async def _or_try_again(opened: Coroutine[Any, Any, Reply]) -> Reply:
    """The reply; in place of an error that may pass, a stream that ends with it and says when to try again."""
    try:
        return await opened
    except PeerbusError as error:
        if error.retry_after is None:
            raise
        return Reply(200, b"retry: %d\n%b" % (error.retry_after * 1000, last_event(error)), HEADERS)


async def _send_nothing(_: Sink) -> None:
    """The answer to a HEAD has no body."""


def last_event(error: Exception) -> bytes:
    """The event that ends a stream because of an error; a reader that was replaced does not come back after it."""
    return event(failure_body(error, f"GET {PATH}"), REPLACED if isinstance(error, StreamReplaced) else None, "end")


def event(data: bytes, number: int | str | None = None, name: str | None = None) -> bytes:
    """One event. JSON may have line breaks between its tokens: each line is sent by itself, for the reader to join."""
    lines = [b"data: " + line for line in data.splitlines()]
    if number is not None:
        lines.insert(0, f"id: {number}".encode())
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


def _last_id(head: Head, fields: StreamRequest) -> int | Literal["stream_replaced"] | None:
    """The id in the header, else the one in the query: a browser that reconnects sends the later one in the header."""
    given, place = head.headers.get("last-event-id", ""), "in Last-Event-ID"
    if not given:
        given, place = fields.last_event_id, "at $.lastEventId"
    if not given:
        return None
    if given == REPLACED:
        return REPLACED
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(2**53))):
        raise BadRequest(f"Expected the id of an event, a whole number - {place}")
    return int(given)
