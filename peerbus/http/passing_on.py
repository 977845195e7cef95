"""Passing calls and streams on to another server, as peer nodes do, and servers of a cluster."""

import threading
from collections.abc import AsyncIterator, Callable
from string import punctuation
from urllib.parse import quote

import msgspec
from msgspec import Raw

from peerbus.errors import (
    CATALOGUE,
    NotReady,
    NotSubscribed,
    PeerbusError,
    TooManyWaiting,
    timed_out,
    unreachable,
)
from peerbus.http.event_stream import last_event
from peerbus.http.reply import JSON as JSON_REPLY
from peerbus.http.types import Reply, Sink
from peerbus.http.upstream.body_stream import BodyStream
from peerbus.http.upstream.errors import StreamClosed, TimedOut, Unreachable, UpstreamError
from peerbus.http.upstream.exchange import Response
from peerbus.wire.protocol import StreamRequest, SubscriptionsAnswer

JSON = "application/json"
STATUSES = {200} | {error.status for error in CATALOGUE.values()}
"""Every status that an indexing server answers with."""
HEADERS = ("Content-Type", "Cache-Control", "Retry-After", "Allow", "WWW-Authenticate")
PASSED_ON = {name.lower().encode(): name for name in HEADERS}
"""The headers that are passed on from an answer; one with status 200 has only the first two."""
LONGEST_WAIT = 86_400.0
"""Seconds added at most to the time that an answer may take; the server itself limits the `wait` of a pull."""
SILENCE_SECONDS = 45.0
"""Seconds without any data after which the sender of a stream counts as gone; it sends a comment every 15 seconds."""
END = b"\n\n"
LAST = b"event: end\n"


def quoted(query: str) -> str:
    """A query string as it came, in ASCII."""
    return query if query.isascii() else quote(query, safe=punctuation, encoding="latin-1")


def wait_in(value: Raw) -> float:
    """The seconds in the field `wait` of a pull; 0 for those that the server will refuse."""
    try:
        return min(max(0.0, msgspec.json.decode(value, type=float)), LONGEST_WAIT)
    except msgspec.DecodeError:
        return 0.0


def reply_to(response: Response, on_lost: Callable[[], None] | None = None) -> Reply:
    """The reply that passes a response on."""
    if response.status == 200:
        return Reply(200, response.body, JSON_REPLY, on_lost)
    came = response.headers
    headers = [(name, came[key].decode("latin-1")) for key, name in PASSED_ON.items() if key in came]
    return Reply(response.status, response.body, headers)


def is_answer(response: Response) -> bool:
    """Whether a response is one of an indexing server."""
    return response.status in STATUSES and media_type(response) == JSON


def media_type(response: Response | BodyStream) -> str:
    """The type that a response says its body has, without parameters."""
    given = response.headers.get(b"content-type", b"").decode("latin-1")
    return given if given == JSON else given.partition(";")[0].strip().lower()


def failure(error: UpstreamError, server: str, stopping: str) -> PeerbusError:
    """The error of the catalogue for a call or a stream that failed on the way.

    `server` names the other one in a sentence; `stopping` says that this process stops.
    """
    match error:
        case TimedOut():
            return timed_out(server, error)
        case StreamClosed():
            return NotReady(stopping)
        case _:
            return unreachable(server, error)


class WaitingPlaces:
    """The places of the pulls that wait at another server; any thread may use them."""

    def __init__(self, limit: int, taker: str) -> None:
        """`taker` names this process in a sentence."""
        self._limit = limit
        self._taker = taker
        self._free = threading.BoundedSemaphore(limit)
        self.free = self._free.release
        """Free a place."""

    def take(self) -> None:
        """Take a place; raises `TooManyWaiting`."""
        if not self._free.acquire(blocking=False):
            raise TooManyWaiting(
                f"{self._limit} pulls are waiting, which is as many as this {self._taker} takes. Pull without `wait`."
            )


class ForwardedStream:
    """The stream of another server, sent on to one reader."""

    def __init__(
        self,
        upstream: BodyStream,
        failure: Callable[[UpstreamError], Exception],
        ended: Callable[[BodyStream], None],
    ) -> None:
        """`failure` gives the error for a stream that broke off; `ended` is called when it ended, from either side."""
        self._upstream = upstream
        self._failure = failure
        self._ended = ended

    async def send(self, sink: Sink) -> None:
        """Send whole events as they come; if the other server sends no last event, make one."""
        try:
            async for events in whole_events(self._upstream):
                if not await sink.write(events):
                    return
        except UpstreamError as error:
            await sink.write(last_event(self._failure(error)))
        finally:
            self._ended(self._upstream)

    def abandon(self) -> None:
        """End the stream before anything of it was sent."""
        self._ended(self._upstream)


def check_subscribed(request: StreamRequest, listed: bytes) -> None:
    """Raise `NotSubscribed` unless the answer to a `GET /subscriptions` has the message queue of a stream.

    Raises `DecodeError` if it is no such answer.
    """
    if not msgspec.json.decode(listed, type=SubscriptionsAnswer).subscriptions:
        raise NotSubscribed(f"Peer '{request.peer_id}' is not subscribed to topic '{request.topic}'.")


async def whole_events(stream: BodyStream) -> AsyncIterator[bytes]:
    """The events of a stream as they come, one or several at a time, up to the last one. Raises `UpstreamError`."""
    gathered = bytearray()
    async for part in stream:
        gathered += part
        end = gathered.rfind(END, max(0, len(gathered) - len(part) - 1))
        if end < 0:
            continue
        events, gathered = bytes(gathered[: end + len(END)]), gathered[end + len(END) :]
        yield events
        if is_last(events):
            return
    raise Unreachable("it broke the stream off")


def is_last(events: bytes) -> bool:
    """Whether the last one of some events ends the stream."""
    return events.startswith(LAST, start_of_last(events))


def start_of_last(events: bytes) -> int:
    """Where the last one of some events begins."""
    at = events.rfind(END, 0, -len(END))
    return at + len(END) if at >= 0 else 0
