"""Topics as streams of events: `GET /stream`."""

import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

from peerbus.errors import BadRequest, OriginNotAllowed, TooManyStreams
from peerbus.http.handler import Admit
from peerbus.http.request import decode_query
from peerbus.http.types import Environ, Parts
from peerbus.wire.protocol import StreamRequest

PATH = "/stream"
MAX_STREAMS = 200
SCRIPTED = ("cors", "same-origin")
"""Modes of what a browser requests for a script, naming its origin if it is another (https://www.w3.org/TR/fetch-metadata)."""


class Wanted(NamedTuple):
    """What a reader asks for.

    It has read the event `last_id` of an earlier stream, if any. `check` is asked about the request each time something
    is done for it, and may refuse it.
    """

    query: str
    last_id: int | None
    check: Callable[[StreamRequest], None]


class Source(Protocol):
    """Where streams come from."""

    def open(self, wanted: Wanted) -> Parts:
        """The parts of a stream, a generator; raises what stands against it. Called in the stream's own thread.

        It is closed when the reader is gone: the part that it gave last was not sent then.
        """


class Streams:
    """Sends streams, each from a thread of its own, which waits for messages and for its reader to take them."""

    def __init__(self, source: Source, limit: int = MAX_STREAMS, admit: Admit | None = None) -> None:
        """At most `limit` at once, for those that `admit` lets in."""
        self._source = source
        self._admit = admit
        self._limit = limit
        self._lock = threading.Lock()
        self._open = 0

    @property
    def count(self) -> int:
        """How many are open."""
        return self._open

    def open(self, environ: Environ, send: Callable[[Parts], None], refuse: Callable[[Exception], None]) -> None:
        """Answer a request by `send`, which returns at the stream's end, or by `refuse`. Returns at once.

        Raises `TooManyStreams`, `OriginNotAllowed`, what else keeps a caller out, and `BadRequest` for a
        `Last-Event-ID` that is none.
        """
        _refuse_embedding(environ)
        check = self._admit(environ) if self._admit else _admit_all
        wanted = Wanted(environ["QUERY_STRING"], _last_id(environ), check)
        with self._lock:
            if self._open >= self._limit:
                raise TooManyStreams(f"{self._limit} streams are open, which is as many as there may be.")
            self._open += 1
        try:
            threading.Thread(target=self._run, args=(wanted, send, refuse), name="stream", daemon=True).start()
        except RuntimeError:
            self._ended()
            raise TooManyStreams("The system has no thread for another stream.") from None

    def _run(self, wanted: Wanted, send: Callable[[Parts], None], refuse: Callable[[Exception], None]) -> None:
        try:
            try:
                parts = self._source.open(wanted)
            except Exception as error:  # noqa: BLE001  # whoever asked is told
                refuse(error)
            else:
                send(parts)
        finally:
            self._ended()

    def _ended(self) -> None:
        with self._lock:
            self._open -= 1


def stream_request(query: str) -> StreamRequest:
    """The fields of a query string; raises `BadRequest`."""
    return decode_query(query, StreamRequest)


def _refuse_embedding(environ: Environ) -> None:
    """Refuse what a page loads as an image, a script or a link: browsers name no origin then, and it takes messages."""
    if environ.get("HTTP_SEC_FETCH_MODE", SCRIPTED[0]) not in SCRIPTED:
        raise OriginNotAllowed("A page can follow a topic by EventSource or fetch alone.")


def _admit_all(_: StreamRequest) -> None:
    """Where nobody is asked for a token, everybody may."""


def _last_id(environ: Environ) -> int | None:
    given: str = environ.get("HTTP_LAST_EVENT_ID", "")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(2**53))):
        raise BadRequest("Expected the id of an event, a whole number - in Last-Event-ID")
    return int(given)


CONTENT_TYPE = "text/event-stream"
HEADERS = [("Content-Type", CONTENT_TYPE), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]
"""The last keeps nginx from holding events back."""
PING = b": ping\n\n"
"""A comment, which says that the stream stands."""


def event(data: bytes, number: int | None = None, name: str | None = None) -> bytes:
    """One event. JSON may have line breaks between its tokens: each line goes by itself, for the reader to join."""
    lines = [b"data: " + line for line in data.splitlines()]
    if number is not None:
        lines.insert(0, b"id: %d" % number)
    if name is not None:
        lines.insert(0, b"event: " + name.encode())
    return b"\n".join(lines) + b"\n\n"
