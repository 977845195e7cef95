"""Streams of an indexing server: each is one pull after the other."""

import asyncio
from time import monotonic

from msgspec import json

from peerbus.broker import Broker
from peerbus.broker.results import Pulled
from peerbus.errors import NotReady, NotSubscribed, PeerbusError, TooSlow
from peerbus.future import Future, then
from peerbus.http.event_loop import Loop
from peerbus.http.event_stream import PING, Wanted, event, last_event
from peerbus.http.types import BODY_PIECE, LargeBody, Sink
from peerbus.storage.group_commit import InMemory

PING_SECONDS = 15.0
BATCH = 100
"""Messages pulled at once."""
PATIENCE_SECONDS = 10.0
LEAST_SECONDS = 0.1
"""Between two pulls that find nothing, where pulls may not wait for as long."""
PULL_SECONDS = 0.00025
"""Between two pulls of all streams together, 4,000 a second: other calls get most of the loop's time."""
PART_BYTES = 1 << 16
"""Size in bytes at which a part is sent. Small parts leave few messages in buffers when a reader is gone."""


class BrokerStreams:
    """Makes streams of message queues.

    Messages are handed over as by a pull. Those that the reader's connection did not take return to the queue.
    """

    def __init__(
        self,
        broker: Broker,
        journal: InMemory,
        loop: Loop,
        max_wait: float,
        ping_seconds: float = PING_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """A comment is sent if there was nothing else for `ping_seconds`, or for `max_wait`.

        The stream of a reader that takes less than `PART_BYTES` in `patience` seconds ends.
        """
        self.broker = broker
        self.journal = journal
        self.loop = loop
        self.wait = min(ping_seconds, max_wait)
        self.patience = patience
        self._next_pull = 0.0
        """When the next stream may pull."""

    async def open(self, wanted: Wanted) -> "BrokerStream":
        """A stream of a peer's message queue, from after the last event it has; raises the errors of a pull."""
        request = wanted.request
        offset = None if wanted.last_id is None else wanted.last_id + 1
        reader_token = self.broker.resume(request.peer_id, request.topic, offset)
        stream = BrokerStream(self, wanted, reader_token)
        await stream.begin()
        return stream

    async def check(self, wanted: Wanted) -> None:
        """Raise the error of a pull from the peer's message queue; pulls nothing, and renews no lease."""
        peer_id, topic = wanted.request.peer_id, wanted.request.topic
        if not self.broker.subscription_views(peer_id, [topic]):
            self.broker.topic_creator(topic)  # raises `TopicNotFound`
            raise NotSubscribed(f"Peer '{peer_id}' is not subscribed to topic '{topic}'.")

    def pause(self) -> float:
        """Reserve the next pull of the budget of all streams; returns the seconds until then."""
        now = monotonic()
        self._next_pull = max(now, self._next_pull + PULL_SECONDS)
        return self._next_pull - now


class BrokerStream:
    """The stream of one reader."""

    def __init__(self, streams: BrokerStreams, wanted: Wanted, reader_token: int) -> None:
        self._streams = streams
        self._check = wanted.check
        self._request = wanted.request
        self._reader_token = reader_token
        self._pulled: Pulled
        """Messages that are handed over, from the one at `_sent` on still to be sent."""
        self._sent = 0
        self._missed = 0
        self._size = 0
        """Bytes of the last part."""

    async def begin(self) -> None:
        """Pull the present messages; raises the errors of a pull."""
        await self._pull(0.0)

    async def send(self, sink: Sink) -> None:
        """Send events until the stream ends or its reader is gone; a fault becomes the last event."""
        try:
            part = PING
            while await self._send_pulled(sink, part):
                await asyncio.sleep(max(self._streams.pause(), LEAST_SECONDS - self._streams.wait))
                await self._pull(self._streams.wait)
                part = b""
        except Exception as error:  # noqa: BLE001  # the reader gets it
            self._give_back()
            await sink.write(last_event(error))
        except asyncio.CancelledError:
            self._give_back()
            raise

    def abandon(self) -> None:
        """End the stream before anything of it was sent."""
        self._give_back()

    async def _pull(self, wait: float) -> None:
        streams, request = self._streams, self._request
        if streams.broker.closing:
            raise NotReady("The indexing server is stopping.")
        self._check()
        pulling = streams.broker.pull_waiting(
            request.peer_id,
            request.topic,
            BATCH,
            wait,
            self._reader_token,
            request.in_flight,
            details=request.details,
        )
        kept: Pulled | Future[Pulled] = then(pulling, lambda pulled: streams.journal.after_commit(pulled))
        if isinstance(kept, Future):
            try:
                self._take(await streams.loop.result_of(kept))
            except asyncio.CancelledError:
                kept.add_done_callback(self._take_back)
                raise
        else:
            self._take(kept)

    def _take(self, pulled: Pulled) -> None:
        self._pulled, self._sent, self._missed = pulled, 0, pulled.missed

    def _take_back(self, kept: Future[Pulled]) -> None:
        """Give back messages that came for a reader that is gone."""
        try:
            self._take(kept.result())
        except PeerbusError:
            return
        self._give_back()

    async def _send_pulled(self, sink: Sink, part: bytes) -> bool:
        """Send the pulled messages, in parts that begin with `part`; false if the reader is gone."""
        if self._missed:
            part += event(b'{"missed": %d}' % self._missed, name="missed")
        while self._sent < len(self._pulled.values):
            made, end = _part(part, self._pulled, self._sent)
            size, self._size = self._size, len(made)
            began = monotonic()
            if not await sink.write(made):
                self._give_back()
                return False
            part, self._sent, self._missed = b"", end, 0
            now = monotonic()
            stood_still = self._streams.loop.standstill.check(now) > began
            allowed = self._streams.patience * max(1, (size + len(made)) / PART_BYTES)
            if now - began > allowed and not stood_still:
                raise TooSlow(
                    f"The reader took less than {PART_BYTES} bytes in {self._streams.patience:g} seconds. "
                    "What was not sent stays in the message queue: follow it again."
                )
        if part or not self._pulled.values:
            if not await sink.write(part or PING):
                self._give_back()
                return False
            self._missed = 0
        return True

    def _give_back(self) -> None:
        """Give back messages that were handed over and not sent."""
        pulled = self._pulled
        rest = pulled.offsets[self._sent :]
        if not (rest or self._missed):
            return
        attempts = None if pulled.attempts is None else pulled.attempts[self._sent :]
        self._streams.broker.give_back(
            self._request.peer_id,
            self._request.topic,
            pulled.queue,
            pulled.generation,
            rest,
            attempts,
            self._missed,
        )
        self._sent, self._missed = len(pulled.values), 0


def _part(prefix: bytes, pulled: Pulled, begin: int) -> tuple[bytes | LargeBody, int]:
    """`prefix` and the events of the messages from the one at `begin` on; and the first that is not among them."""
    values, offsets = pulled.values, pulled.offsets
    if _is_sent_as_it_is(values[begin]):
        before, after = _about(pulled, begin)
        head = b"%bid: %d\ndata: %b" % (prefix, offsets[begin], before)
        return LargeBody(head, values[begin : begin + 1], after + b"\n\n"), begin + 1
    events = [prefix]
    size, end = 0, begin
    while size < PART_BYTES and end < len(values) and not _is_sent_as_it_is(values[end]):
        before, after = _about(pulled, end)
        events.append(event(b"%b%b%b" % (before, values[end], after), offsets[end]))
        size += len(events[-1])
        end += 1
    return b"".join(events), end


def _about(pulled: Pulled, at: int) -> tuple[bytes, bytes]:
    """The data of an event before and after its message: nothing, or with details the object that has the message."""
    if pulled.details is None:
        return b"", b""
    about = {
        "offset": pulled.offsets[at],
        "attempt": None if pulled.attempts is None else pulled.attempts[at],
        "publisher": pulled.details.publishers[at],
        "published_at": pulled.details.published_at[at],
    }
    return b'{"message":', b"," + json.encode(about)[1:]


def _is_sent_as_it_is(value: bytes) -> bool:
    """Whether a message is sent without a copy: a large one, which has no line breaks."""
    return len(value) >= BODY_PIECE and b"\n" not in value and b"\r" not in value
