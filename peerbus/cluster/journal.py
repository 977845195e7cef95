"""Persistence of a broker's state in a shard's log, as long as this server owns it."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import NamedTuple, TypeVar

from peerbus.broker import Broker, Limits
from peerbus.broker.change_set import ChangeSet
from peerbus.broker.records import Changes
from peerbus.broker.state import PER_SLICE, Slice
from peerbus.cluster.entries import Entry, entries_of
from peerbus.cluster.shard_log import UNDER_WAY, Overtaken, ShardLog
from peerbus.cluster.store import Loaded
from peerbus.errors import IndexTimeout, ShardUnavailable
from peerbus.future import Future, then
from peerbus.histogram import Histogram
from peerbus.http.event_loop import Loop
from peerbus.storage.group_commit import COMMIT_BOUNDS, InMemory
from peerbus.storage.held_back import Deliver, HeldBack

log = logging.getLogger(__name__)

LEASE_SECONDS = 1.0
"""How long after an append an owner answers calls that change nothing without another one."""
CLOSE_SECONDS = 3.0
NO_LIMIT = 1 << 62
"""Bytes of room that the engine is taken to have."""

T = TypeVar("T")


class _Batch(NamedTuple):
    """Changes whose entries are being appended."""

    number: int
    changes: Changes
    began: float
    """By the broker's clock."""
    appended: "asyncio.Task[int]"
    """The append of the last entry, which commits all."""


class LogJournal(InMemory):
    """Appends a broker's changes to a log in batches, several of which are under way at a time.

    While they are, the next one gathers. A call is answered when its batch is in the log. When another server claims
    the log, all calls that wait fail, and so do later ones: they changed nothing.
    """

    def __init__(
        self,
        loop: Loop,
        shard_log: ShardLog,
        loaded: Loaded,
        most_bytes: int,
        on_lost: Callable[[], None],
        clock: Callable[[], float] = monotonic,
        wall_clock: Callable[[], float] = time,
    ) -> None:
        """Continue after what was `loaded`; the log is awaited in `loop`, and an entry has `most_bytes` at most.

        `on_lost` is called once, in the loop, when another server claimed the log. The clocks are the broker's.
        """
        self.commits = Histogram(COMMIT_BOUNDS)
        self._commit_took = self.commits.add
        self._loop = loop
        self._log = shard_log
        self._loaded = loaded
        self._most_bytes = most_bytes
        self._on_lost = on_lost
        self._clock = clock
        self._wall_clock = wall_clock
        self._confirmed = clock()
        """When the last append began that succeeded: until then, at least, the log was ours."""
        self._is_lost = False
        self._is_closing = False
        self._touched = False
        """Whether a batch is wanted though nothing changed, to see that the log is ours."""
        self._changed = asyncio.Event()
        self._room = asyncio.Semaphore(UNDER_WAY)
        self._batches: asyncio.Queue[_Batch | None] = asyncio.Queue()
        self._ended = threading.Event()

    def open(
        self,
        limits: Limits,
        on_topic_deleted: Callable[[str, Sequence[str]], None],
        on_due: Callable[[], None] = lambda: None,
        per_slice: Slice = PER_SLICE,
    ) -> Broker:
        """The broker with the state that was loaded.

        `on_topic_deleted` is called when the deletion is in the log; `on_due` and `per_slice` are the broker's.
        """

        def tell(topic: str, peers: Sequence[str]) -> None:
            then(self.after_commit(topic), lambda topic: on_topic_deleted(topic, peers))

        contents = self._loaded.contents
        self._change_set = ChangeSet(self._clock, self._wall_clock, self._wake, limits.max_bytes, contents.clock_set)
        self._change_set.measured(0, NO_LIMIT)
        self._held = HeldBack(self._change_set)
        self._broker = Broker(
            limits, self._clock, tell, self._change_set, contents, self._wall_clock, on_due, per_slice
        )
        del self._loaded
        log.info("Loaded %d peers, %d topics.", len(contents.peers), len(contents.topics))
        return self._broker

    def start(self, deliver: Deliver | None = None, /) -> None:
        """Begin to append. The futures of a batch are resolved in one call that `deliver` makes."""
        self._held.deliver = deliver
        self._loop.call(self._begin)

    def after_commit(self, value: T) -> T | Future[T]:
        """`value`, when all changes made until now are in the log; if there are none, when the log is known to be ours.

        The future fails with `ShardUnavailable` if it is not.
        """
        if self._is_lost:
            return self._held.hold(value, self._change_set.batch + 1)
        if self._held.waits or self._clock() < self._confirmed + LEASE_SECONDS:
            return self._held.hold(value)
        self._touched = True
        held = self._held.hold(value, self._change_set.batch)
        self._wake()
        return held

    def close(self) -> None:
        """Append the remaining changes; calls whose changes are not in the log after some seconds fail."""
        self._is_closing = True
        self._wake()
        self._ended.wait(CLOSE_SECONDS)
        self.abandon()

    def abandon(self) -> None:
        """Append nothing more; calls whose changes are not known to be in the log fail."""
        self._loop.call(self._cancel)
        self._ended.wait()
        self._held.fail(
            IndexTimeout("The engine did not confirm this before the server stopped; it may have been carried out.")
        )

    # In the loop

    def _begin(self) -> None:
        self._tasks = [self._loop.events.create_task(work) for work in (self._append_all(), self._commit_all())]
        self._tasks[1].add_done_callback(lambda _: self._ended.set())

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._log.cancel()

    def _wake(self) -> None:
        self._loop.call(self._changed.set)

    async def _append_all(self) -> None:
        """Begin to append a batch as soon as there is room for another append."""
        is_open = True
        while is_open and not self._is_lost:
            await self._changed.wait()
            await self._room.acquire()
            self._changed.clear()
            if self._touched or self._change_set.has_changes:
                await self._append()
            else:
                self._room.release()
            is_open = not self._is_closing or self._change_set.has_changes
        await self._batches.put(None)

    async def _append(self) -> None:
        """Begin to append a batch; there is room for its first entry."""
        began, self._touched = self._clock(), False
        changes = self._broker.locked(self._change_set.take).records()
        number = self._change_set.batch - 1
        entries = entries_of(self._log.owner, changes, self._most_bytes)
        for entry in entries[:-1]:
            self._append_entry(entry)
            await self._room.acquire()
        await self._batches.put(_Batch(number, changes, began, self._append_entry(entries[-1])))

    def _append_entry(self, entry: Entry) -> "asyncio.Task[int]":
        appended = self._log.append(entry)
        appended.add_done_callback(self._has_ended)
        return appended

    def _has_ended(self, appended: "asyncio.Task[int]") -> None:
        self._room.release()
        if not appended.cancelled():
            appended.exception()  # `_commit_all` raises it, or that of a later entry

    async def _commit_all(self) -> None:
        """Let the calls of each batch be answered when it is in the log."""
        while batch := await self._batches.get():
            try:
                await batch.appended
            except Overtaken:
                self._lose()
                return
            self._confirmed = batch.began
            self._commit_took(self._clock() - batch.began)
            self._broker.written(batch.changes)
            self._change_set.written()
            self._held.release(batch.number)

    def _lose(self) -> None:
        """Another server claimed the log: whatever is not in it did not happen."""
        self._is_lost = True
        self._changed.set()
        log.warning("Another server claimed the log: this one steps down.")
        self._held.fail(ShardUnavailable("Another server has taken over; nothing was changed. Make the call again."))
        self._on_lost()
