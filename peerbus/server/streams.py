"""Streams of an indexing server: each is one pull after the other."""

import threading
from time import monotonic

from peerbus.broker import Broker
from peerbus.broker.results import Pulled
from peerbus.errors import NotReady, TooSlow
from peerbus.future import Future, then
from peerbus.http.event_stream import PATH, PING, Wanted, event, stream_request
from peerbus.http.reply import failure
from peerbus.http.types import Parts
from peerbus.storage.group_commit import InMemory
from peerbus.wire.protocol import StreamRequest

PING_SECONDS = 15.0
BATCH = 100
"""Messages pulled at once."""
PATIENCE_SECONDS = 10.0
LEAST_SECONDS = 0.1
"""Between two pulls that find nothing, where pulls may not wait for as long."""
PAUSE_SECONDS = 0.00025
"""Pause of a stream between two pulls, for each stream there is: all together pull 4,000 times a second at most."""
PART_BYTES = 1 << 16
"""Bytes from which on a part is sent: little is on its way when a reader is gone."""


class BrokerStreams:
    """Makes streams of message queues.

    A message is handed over as by a pull. What the reader's connection did not take goes back to the queue.
    """

    def __init__(
        self,
        broker: Broker,
        journal: InMemory,
        max_wait: float,
        ping_seconds: float = PING_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """A comment is sent when there was nothing else for `ping_seconds`, or for `max_wait`.

        A reader that takes less than `PART_BYTES` in `patience` seconds is told so, and left.
        """
        self._patience = patience
        self._broker = broker
        self._journal = journal
        self._wait = min(ping_seconds, max_wait)
        self._turn = threading.Lock()
        """Who works has it: so calls, which work meanwhile, wait for one stream and not for hundreds."""
        self._count = 0
        """Streams that are open."""
        self._pause = threading.Event()
        """Never set: it is waited for."""

    def open(self, wanted: Wanted) -> Parts:
        """A stream of a peer's message queue, from after the last event it has; raises what a pull would raise."""
        request = stream_request(wanted.query)
        wanted.check(request)
        offset = None if wanted.last_id is None else wanted.last_id + 1
        reader = self._broker.resume(request.peer_id, request.topic, offset)
        return self._parts(wanted, request, reader, self._pull(wanted, request, reader, 0.0))

    def _pull(self, wanted: Wanted, request: StreamRequest, reader: int, wait: float) -> Pulled:
        if self._broker.closing:
            raise NotReady("The indexing server is stopping.")
        wanted.check(request)
        with self._turn:
            pulling = self._broker.pull_waiting(request.peer_id, request.topic, BATCH, wait, reader)
            kept: Pulled | Future[Pulled] = then(pulling, lambda pulled: self._journal.after_commit(pulled))
        return kept.result() if isinstance(kept, Future) else kept

    def _parts(self, wanted: Wanted, request: StreamRequest, reader: int, pulled: Pulled) -> Parts:
        with self._turn:
            self._count += 1
        try:
            yield from self._parts_of(request, pulled, PING)
            while True:
                self._pause.wait(max(self._count * PAUSE_SECONDS, LEAST_SECONDS - self._wait))
                pulled = self._pull(wanted, request, reader, self._wait)
                yield from self._parts_of(request, pulled)
        except Exception as error:  # noqa: BLE001  # the reader is told
            yield event(failure(error, f"GET {PATH}").body, name="end")
        finally:
            with self._turn:
                self._count -= 1

    def _parts_of(self, request: StreamRequest, pulled: Pulled, part: bytes = b"") -> Parts:
        """What a pull took, in parts that begin with `part`; one that is not taken goes back, with all that follow."""
        begin, missed, size = 0, pulled.missed, 0
        if missed:
            part += event(b'{"missed": %d}' % missed, name="missed")
        try:
            while begin < len(pulled.values):
                with self._turn:
                    made, end = _part(pulled, begin)
                size, before = len(made), size
                began = monotonic()
                yield part + made
                part, begin, missed = b"", end, 0
                if monotonic() - began > self._patience * max(1, (before + size) / PART_BYTES):
                    raise TooSlow(
                        f"The reader took less than {PART_BYTES} bytes in {self._patience:g} seconds. "
                        "What was not sent stays in the message queue: follow it again."
                    )
            if part or not pulled.values:
                yield part or PING
        except (GeneratorExit, TooSlow):
            attempts = None if pulled.attempts is None else pulled.attempts[begin:]
            rest = pulled.offsets[begin:]
            self._broker.give_back(request.peer_id, request.topic, pulled.generation, rest, attempts, missed)
            raise


def _part(pulled: Pulled, begin: int) -> tuple[bytes, int]:
    """Events of the messages from the one at `begin` on, and which is the first that is not among them."""
    events: list[bytes] = []
    size, end = 0, begin
    while size < PART_BYTES and end < len(pulled.values):
        events.append(event(pulled.values[end], pulled.offsets[end]))
        size += len(events[-1])
        end += 1
    return b"".join(events), end
