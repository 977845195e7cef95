"""Streams that outlive an owner: each goes on at the next one, where it broke off."""

from urllib.parse import urlencode

from peerbus.cluster.call import FORWARDED, ForwardedCall, passed_on
from peerbus.cluster.routing import Routing
from peerbus.errors import (
    IndexTimeout,
    IndexUnreachable,
    NotOwner,
    NotReady,
    PeerbusError,
    ShardUnavailable,
    error_in,
)
from peerbus.http.event_stream import PATH, Stream, Wanted, last_event
from peerbus.http.passing_on import ForwardedStream, check_subscribed, is_last, quoted, start_of_last
from peerbus.http.types import LargeBody, Sink
from peerbus.wire.endpoints import ENDPOINTS, Endpoint
from peerbus.wire.protocol import StreamRequest, SubscriptionsRequest

OF_THE_WAY = (ShardUnavailable, NotReady, NotOwner, IndexUnreachable, IndexTimeout)
"""Errors that end a stream because of its owner, or of the way to it: another one can go on with it."""
STREAM = Endpoint("GET", PATH, StreamRequest, "Stream the messages of a message queue.")
SUBSCRIPTIONS = next(row for row in ENDPOINTS if row.request is SubscriptionsRequest)
ID = b"id: "


class PassedStreams:
    """Makes streams of the owner's, each of which goes on at the next owner."""

    def __init__(self, routing: Routing) -> None:
        self.routing = routing

    async def open(self, wanted: Wanted) -> Stream:
        """A stream; raises the error that the owner refuses it with, and `ShardUnavailable`."""
        opened = await self.open_once(wanted)
        return opened if FORWARDED in wanted.head.headers else LastingStream(self, wanted, opened)

    async def open_once(self, wanted: Wanted) -> Stream:
        """A stream that ends with its owner."""
        last = () if wanted.last_id is None else (f"Last-Event-ID: {wanted.last_id}",)
        path = f"{PATH}?{quoted(wanted.head.query)}"
        upstream = await self.routing.open(self._call(STREAM, path, wanted, *last))
        return ForwardedStream(upstream, self.routing.failure, self.routing.ended)

    async def check(self, wanted: Wanted) -> None:
        """Raise the error that the owner would refuse a stream with."""
        query = urlencode({"topic": wanted.request.topic, "peer_id": wanted.request.peer_id})
        listed = self.routing.pass_on(self._call(SUBSCRIPTIONS, f"{SUBSCRIPTIONS.path}?{query}", wanted))
        reply = await self.routing.loop.result_of(listed)
        body = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
        if reply.status != 200:
            raise error_in(reply.status, body)
        check_subscribed(wanted.request, body)

    def _call(self, endpoint: Endpoint, path: str, wanted: Wanted, *headers: str) -> ForwardedCall:
        head = wanted.head
        headers = (*passed_on(head), *self.routing.sender, *headers)
        return ForwardedCall(endpoint, path, headers, is_forwarded=FORWARDED in head.headers)


class LastingStream:
    """A stream to one reader, of one owner after the other: the reader sees nothing but a pause."""

    def __init__(self, streams: PassedStreams, wanted: Wanted, opened: Stream) -> None:
        self._streams = streams
        self._wanted = wanted
        self._opened = opened

    async def send(self, sink: Sink) -> None:
        """Send events until the stream ends for good or its reader is gone; a fault becomes the last event."""
        watched = _WatchedSink(sink, self._wanted.last_id)
        await self._opened.send(watched)
        while watched.broke_off:
            watched.broke_off = False
            try:
                if self._streams.routing.is_stopping:
                    raise NotReady("The server is stopping.")
                self._opened = await self._streams.open_once(self._wanted._replace(last_id=watched.last_id))
            except PeerbusError as error:
                await sink.write(last_event(error))
                return
            await self._opened.send(watched)

    def abandon(self) -> None:
        """End the stream before anything of it was sent."""
        self._opened.abandon()


class _WatchedSink:
    """Notes the id of the last event that was sent, and holds a last event back that another owner can do without."""

    def __init__(self, sink: Sink, last_id: int | None) -> None:
        self.last_id = last_id
        self.broke_off = False
        self._sink = sink

    async def write(self, part: bytes | LargeBody) -> bool:
        """Send a part and wait until the connection took it; false where the client is gone."""
        if isinstance(part, bytes) and is_last(part):
            last = start_of_last(part)
            if isinstance(_error_in(part[last:]), OF_THE_WAY):
                self.broke_off = True
                part = part[:last]
        self._note(part if isinstance(part, bytes) else next(iter(part)))
        return await self._sink.write(part) if part else True

    def _note(self, part: bytes) -> None:
        """Note the last id in a part, if there is one; no line of a message's data begins like it."""
        at = part.rfind(b"\n" + ID) + 1
        if part.startswith(ID, at):
            number = part[at + len(ID) : part.find(b"\n", at)]
            self.last_id = int(number) if number.isdigit() else self.last_id


def _error_in(last: bytes) -> PeerbusError:
    """The error in a last event."""
    return error_in(0, last.partition(b"\ndata: ")[2])
