"""Two journals: one keeps nothing; one writes the broker's changes to disk before the calls are answered."""

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic, perf_counter, time
from typing import Any, NamedTuple, TypeVar

from peerbus.broker import Broker, Limits
from peerbus.broker.change_set import ChangeSet
from peerbus.broker.records import Changes
from peerbus.broker.state import PER_SLICE, Slice
from peerbus.errors import StorageFull
from peerbus.future import Future, then
from peerbus.histogram import Histogram
from peerbus.storage import Storage, StorageError

log = logging.getLogger(__name__)

MEASURE_SECONDS = 0.1
"""How often the room on the disk is measured while there is plenty; writes in between are counted."""
PLENTY = 64 << 20
SWITCH_SECONDS = 0.0005
"""How long another thread may keep the interpreter from the writing one, instead of Python's 5 ms."""
RETRY_SECONDS = 0.5
"""How soon a failed write is tried again, and how often the room is measured while there is none."""

LITTLE_ROOM = 1 << 16
"""Bytes below which there is no room: publishes are refused before small messages have used it up."""
ROOM_AGAIN = 1 << 20
"""Bytes from which on there is room again: more than `LITTLE_ROOM`, or it would come and go with each message."""

COMMIT_BOUNDS = tuple(factor * 10.0**power for power in range(-4, 1) for factor in (1, 2.5, 5))
"""0.1 ms to 5 s: a write to a disk takes some hundred microseconds, and one to a bad moment of it seconds."""

T = TypeVar("T")


class _Held(NamedTuple):
    """A value that is held back until a batch is on disk."""

    batch: int
    value: Any
    later: Future[Any]


class InMemory:
    """The journal that keeps nothing: answers need not wait."""

    commits: Histogram | None = None
    """How long transactions took, in a journal that has any."""

    def open(
        self,
        limits: Limits,
        on_topic_deleted: Callable[[str, Mapping[str, str]], None],
        on_due: Callable[[], None] = lambda: None,
    ) -> Broker:
        """A broker that begins empty."""
        return Broker(limits, on_topic_deleted=on_topic_deleted, on_due=on_due)

    def start(self) -> None:
        """Do nothing: there is nothing to write."""

    def keep(self, value: T) -> T | Future[T]:
        """Return `value` at once."""
        return value

    def close(self) -> None:
        """Do nothing: nothing is held back."""


class GroupCommit(InMemory):
    """Writes the changes of a broker, all that have gathered in one transaction.

    While one transaction is written, the next gathers: many callers share the cost of a flush, and a single caller
    waits for its own alone.
    """

    def __init__(
        self,
        storage: Storage,
        reserve: int,
        clock: Callable[[], float] = monotonic,
        wall_clock: Callable[[], float] = time,
    ) -> None:
        """Refuse publishes when less than `reserve` bytes are free; pulls and acknowledgements may use those.

        `clock` and `wall_clock` are the broker's.
        """
        self.commits = Histogram(COMMIT_BOUNDS)
        self._commit_took = self.commits.add
        self._storage = storage
        self._reserve = reserve
        self._clock = clock
        self._wall_clock = wall_clock
        self._changed = threading.Event()
        self._unwritten: Changes | None = None
        """The batch that could not be written yet."""
        self._lock = threading.Lock()
        self._written = 0
        """The last batch that is on disk."""
        self._held: deque[_Held] = deque()
        self._full = False
        """Whether publishes are refused for want of room."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def open(
        self,
        limits: Limits,
        on_topic_deleted: Callable[[str, Mapping[str, str]], None],
        on_due: Callable[[], None] = lambda: None,
        per_slice: Slice = PER_SLICE,
    ) -> Broker:
        """The broker as it was when it was last written; raises `StorageError`.

        `on_topic_deleted` is called when the deletion is on disk, `on_due` and `per_slice` are the broker's.
        """

        def notify(topic: str, addresses: Mapping[str, str]) -> None:
            then(self.keep(topic), lambda topic: on_topic_deleted(topic, addresses))

        contents = self._storage.load(lambda messages: log.info("%d messages loaded.", messages))
        self._change_set = ChangeSet(self._clock, self._wall_clock, self._changed.set, limits.max_bytes)
        self._measure_disk()
        self._broker = Broker(
            limits, self._clock, notify, self._change_set, contents, self._wall_clock, on_due, per_slice
        )
        log.info("Loaded %d peers, %d topics.", len(contents.peers), len(contents.topics))
        return self._broker

    def start(self) -> None:
        """Begin to write, on a thread of its own."""
        sys.setswitchinterval(SWITCH_SECONDS)
        self._thread.start()

    def close(self) -> None:
        """Write the remaining changes, and close the storage."""
        self._stopping.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._try_to_write()
        if self._change_set.changed_in > self._written:
            self._try_to_write()  # what came after what had failed before
        with self._lock:
            unwritten, self._held = self._held, deque()
        for held in unwritten:
            held.later.set_exception(StorageFull("The server stopped before this was on its disk."))
        self._storage.close()

    def keep(self, value: T) -> T | Future[T]:
        """Hold `value` back until all changes made so far are on disk."""
        with self._lock:
            batch = self._change_set.changed_in
            if batch <= self._written:
                return value
            held = _Held(batch, value, Future())
            self._held.append(held)
        return held.later

    def write(self) -> None:
        """Write all changes made so far in one transaction, and release the values held back for them.

        A batch that cannot be written is kept, and tried again the next time.
        """
        if self._unwritten is None:
            self._unwritten = self._broker.locked(self._change_set.take).records()
        try:
            if self._unwritten:
                began = perf_counter()
                self._storage.write(self._unwritten)
                self._commit_took(perf_counter() - began)
        except (StorageFull, StorageError) as error:
            self._refuse(str(error))
            return
        written, self._unwritten = self._unwritten, None
        self._broker.written(written)
        self._change_set.written()
        with self._lock:
            self._written = self._change_set.batch - 1
            kept = []
            while self._held and self._held[0].batch <= self._written:
                kept.append(self._held.popleft())
        for held in kept:
            held.later.set_result(held.value)
        if not written or self._change_set.room_left < PLENTY or self._clock() >= self._measure_at:
            self._measure_disk()
        if self._change_set.changed_in > self._written:
            self._changed.set()  # the call for it came while this batch could not be written

    def _measure_disk(self) -> None:
        self._measure_at = self._clock() + MEASURE_SECONDS
        try:
            stored, free = self._storage.size, self._storage.free
        except StorageError as error:
            self._refuse(str(error))
            return
        # What is published is written twice: to the write-ahead log, and from there to the database.
        room = (free - self._reserve) // 2
        if room < (ROOM_AGAIN if self._full else LITTLE_ROOM):
            self._change_set.measured(stored, 0)
            self._refuse("less than --min-free is left of it")
            return
        known, self._full = self._full, False
        self._change_set.measured(stored, room)
        if known:
            log.info("There is room on the disk again.")

    def _refuse(self, why: str, fault: Exception | None = None) -> None:
        """Refuse publishes until a batch was written and the disk measured."""
        known, self._full = self._full, True
        self._change_set.room = 0
        if not known:
            log.error("Nothing is published until there is room on the disk again: %s", why, exc_info=fault)

    def _run(self) -> None:
        while not self._stopping.is_set():
            waits_for_room = self._unwritten is not None or not self._change_set.room
            self._changed.wait(RETRY_SECONDS if waits_for_room else None)
            self._changed.clear()
            self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self.write()
        except Exception as error:  # noqa: BLE001  # a bug must not end the writing
            self._refuse("a fault of the server", error)
