"""Periodic work of an indexing server: work that falls due in the broker, and the memory of the process."""

import asyncio
import logging
from collections.abc import Callable

from peerbus.broker import Broker
from peerbus.broker.results import DueResult
from peerbus.http.event_loop import Loop
from peerbus.server import process_memory
from peerbus.wire.words import also_discarded, duration

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.25
"""Time between two beats, by whose pauses the broker notices that the process stood still."""
RETRY_SECONDS = 1.0
"""Pause after an unexpected error; the work goes on after it."""
TRIM_SECONDS = 5.0
TRIM_BYTES = 16 << 20
"""Freed bytes of messages after which free memory is returned to the system."""

GROWTH_SECONDS = 0.5
GROWTH = 5000
"""New peers, topics and subscriptions after which all objects are excluded from garbage collection: a collection of a
million topics takes 0.6 s. With the default limits this happens 420 times at most."""


class Housekeeping:
    """Calls a broker's `run_due` when it is due, and returns free memory, until it is closed."""

    def __init__(self, broker: Broker, loop: Loop) -> None:
        self._broker = broker
        self._loop = loop
        self._next: asyncio.Handle | None = None
        self._regular: dict[Callable[[], None], asyncio.Handle] = {}
        """The next time of the work that is done regularly."""
        self._is_closed = False
        self._trimmed = 0
        self._forgotten_ids = 0
        self._is_forgetting = False
        self._excluded = 0
        """The number of peers, topics and subscriptions that are excluded from garbage collection."""
        broker.on_due = self._due

    def start(self) -> None:
        """Begin, in the loop."""
        for work in (self._beat, self._run, self._trim, self._exclude, self._watch_ids):
            self._loop.call_soon(work)

    def close(self) -> None:
        """Do nothing more, so that the broker is free to go. From any other thread than the loop's."""
        self._loop.call(self._stop)

    def _stop(self) -> None:
        self._is_closed = True
        for handle in (*self._regular.values(), self._next):
            if handle:
                handle.cancel()

    def _again(self, seconds: float, work: Callable[[], None]) -> None:
        if not self._is_closed:
            self._regular[work] = self._loop.events.call_later(seconds, work)

    def _beat(self) -> None:
        seconds = self._broker.beat()
        if seconds:
            log.warning("The server stood still for %.1f seconds. Leases and deadlines begin anew.", seconds)
        self._again(BEAT_SECONDS, self._beat)

    def _due(self) -> None:
        """Something is due earlier than planned; called under the broker's lock, in any thread."""
        self._loop.call_soon(self._run)

    def _run(self) -> None:
        if self._is_closed:
            return
        if self._next:
            self._next.cancel()
        events = self._loop.events
        try:
            result = self._broker.run_due()
        except Exception:
            log.exception("Work on leases and deadlines failed; it is tried again")
            self._next = events.call_later(RETRY_SECONDS, self._run)
            return
        _log_ends(result)
        if result.next_in <= 0:
            self._next = events.call_soon(self._run)
        elif result.next_in < float("inf"):
            self._next = events.call_later(result.next_in, self._run)

    def _trim(self) -> None:
        """Return free memory to the system if much was freed; in a thread, because it takes milliseconds."""
        freed = self._broker.stats().freed_bytes
        if freed - self._trimmed >= TRIM_BYTES:
            self._trimmed = freed
            self._loop.events.run_in_executor(None, process_memory.trim)
        self._again(TRIM_SECONDS, self._trim)

    def _watch_ids(self) -> None:
        """Log that message ids are forgotten before their time, once when it begins."""
        forgotten = self._broker.stats().forgotten_ids
        known, self._is_forgetting = self._is_forgetting, forgotten > self._forgotten_ids
        self._forgotten_ids = forgotten
        if self._is_forgetting and not known:
            log.warning(
                "Memory is full (--max-bytes): the oldest message ids are forgotten before their time. A publish that "
                "is repeated later than usual is published twice."
            )
        self._again(TRIM_SECONDS, self._watch_ids)

    def _exclude(self) -> None:
        """Exclude all objects from garbage collection if many were added."""
        stats = self._broker.stats()
        held = stats.peers + stats.topics + stats.subscriptions
        if held >= self._excluded + GROWTH:
            self._excluded = held
            process_memory.exclude_present()
        self._again(GROWTH_SECONDS, self._exclude)


def _log_ends(result: DueResult) -> None:
    for peer_id, discarded in result.expired.items():
        level = logging.WARNING if discarded else logging.INFO
        log.log(level, "Peer '%s' is away: its lease ran out.%s", peer_id, also_discarded(discarded))
    for ended in result.ended:
        level = logging.WARNING if ended.discarded else logging.INFO
        log.log(
            level,
            "The message queue '%s' on topic '%s' is ended: no member was there for %s.%s",
            ended.queue,
            ended.topic,
            duration(ended.after),
            also_discarded(ended.discarded),
        )
