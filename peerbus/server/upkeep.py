"""The work of a broker that no call asks for: run by the event loop, in slices, when it is due."""

import asyncio
import logging

from peerbus.broker import Broker
from peerbus.broker.results import DueResult
from peerbus.http.event_loop import Loop
from peerbus.server import process_memory
from peerbus.wire.words import also_discarded

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Pause after a fault of ours, which must not end the upkeep."""
TRIM_SECONDS = 5.0
TRIM_BYTES = 16 << 20
"""Bytes of messages freed after which the heap is trimmed."""

GROWTH_SECONDS = 0.5
GROWTH = 5000
"""Peers, topics and subscriptions more than ever, after which garbage collection leaves out what there is: it would
take 0.4 s to look at 250,000 topics. A server does so 270 times at most."""


class Upkeep:
    """Calls a broker's `run_due` when it is due, until the loop is closed."""

    def __init__(self, broker: Broker, loop: Loop) -> None:
        self._broker = broker
        self._loop = loop
        self._next: asyncio.Handle | None = None
        self._trimmed = 0
        self._left_out = 0
        """The peers, topics and subscriptions that garbage collection leaves out."""
        broker.on_due = self._due

    def start(self) -> None:
        """Begin."""
        self._loop.call_soon(self._run)
        self._loop.call_soon(self._trim)
        self._loop.call_soon(self._leave_out)

    def _due(self) -> None:
        """Something is due earlier than planned; called under the broker's lock, in any thread."""
        self._loop.call_soon(self._run)

    def _run(self) -> None:
        if self._next:
            self._next.cancel()
        events = self._loop.events
        try:
            result = self._broker.run_due()
        except Exception:
            log.exception("The upkeep of leases and deadlines failed")
            self._next = events.call_later(RETRY_SECONDS, self._run)
            return
        _log_expired(result)
        if result.next_in <= 0:
            self._next = events.call_soon(self._run)
        elif result.next_in < float("inf"):
            self._next = events.call_later(result.next_in, self._run)

    def _trim(self) -> None:
        """Give memory back to the system now and then, in a thread: that takes milliseconds."""
        freed = self._broker.stats().freed_bytes
        if freed - self._trimmed >= TRIM_BYTES:
            self._trimmed = freed
            self._loop.events.run_in_executor(None, process_memory.trim)
        self._loop.events.call_later(TRIM_SECONDS, self._trim)

    def _leave_out(self) -> None:
        """Keep garbage collection from what came to stay."""
        stats = self._broker.stats()
        held = stats.peers + stats.topics + stats.subscriptions
        if held >= self._left_out + GROWTH:
            self._left_out = held
            process_memory.leave_out()
        self._loop.events.call_later(GROWTH_SECONDS, self._leave_out)


def _log_expired(result: DueResult) -> None:
    for peer_id, discarded in result.expired.items():
        level = logging.WARNING if discarded else logging.INFO
        log.log(level, "Peer '%s' is removed: its lease ran out.%s", peer_id, also_discarded(discarded))
