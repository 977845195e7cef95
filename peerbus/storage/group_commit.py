"""How the broker's state is kept: in memory alone, or on disk before a call that changed it is answered."""

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

LOOK_SECONDS = 0.1
"""How often the room left on the disk is looked at while there is plenty: what is written meanwhile is counted."""
PLENTY = 64 << 20
SWITCH_SECONDS = 0.0005
"""How long the serving thread may keep the interpreter from the writing one, in place of Python's 5 ms."""
LOOK_AGAIN_SECONDS = 0.5
"""How soon what could not be written is tried again, and how often the room left is looked at while there is none."""

LITTLE_ROOM = 1 << 16
"""Bytes below which there is no room, so that this is told before small messages have used it up."""
ROOM_AGAIN = 1 << 20
"""Bytes from which on there is room again, so that it does not come and go with each message."""

COMMIT_BOUNDS = tuple(factor * 10.0**power for power in range(-4, 1) for factor in (1, 2.5, 5))
"""0.1 ms to 5 s: a write to a disk takes some hundred microseconds, and one to a bad moment of it seconds."""

T = TypeVar("T")


class _Held(NamedTuple):
    """A value that is held back until a batch is on disk."""

    batch: int
    value: Any
    later: Future[Any]


class InMemory:
    """Keeps nothing: what a call changed is as safe at once as it ever will be."""

    commits: Histogram | None = None
    """How long transactions took, where there are any."""

    def open(
        self,
        limits: Limits,
        on_topic_deleted: Callable[[str, Mapping[str, str]], None],
        on_due: Callable[[], None] = lambda: None,
    ) -> Broker:
        """A broker that begins empty."""
        return Broker(limits, on_topic_deleted=on_topic_deleted, on_due=on_due)

    def start(self) -> None:
        """Nothing is to be written."""

    def keep(self, value: T) -> T | Future[T]:
        """`value`, at once."""
        return value

    def close(self) -> None:
        """Nothing is held."""


class GroupCommit(InMemory):
    """Writes the changes of a broker, all that have gathered in one transaction.

    While one is written the next gathers: so many callers share the cost of a flush, and one alone waits for its own.
    """

    def __init__(
        self,
        storage: Storage,
        reserve: int,
        clock: Callable[[], float] = monotonic,
        wall_clock: Callable[[], float] = time,
    ) -> None:
        """Publishing is refused when less than `reserve` bytes are free, which pulls and acknowledgements may use.

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
        """What was taken and could not be written yet."""
        self._lock = threading.Lock()
        self._written = 0
        """The last batch that is on disk."""
        self._held: deque[_Held] = deque()
        self._full = False
        """Whether nothing is published for want of room."""
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

        `on_topic_deleted` is told when the deletion is on disk.
        """

        def tell(topic: str, addresses: Mapping[str, str]) -> None:
            then(self.keep(topic), lambda topic: on_topic_deleted(topic, addresses))

        contents = self._storage.load(lambda messages: log.info("%d messages loaded.", messages))
        self._change_set = ChangeSet(self._clock, self._wall_clock, self._changed.set, limits.max_bytes)
        self._look_at_disk()
        self._broker = Broker(
            limits, self._clock, tell, self._change_set, contents, self._wall_clock, on_due, per_slice
        )
        log.info("Loaded %d peers, %d topics.", len(contents.peers), len(contents.topics))
        return self._broker

    def start(self) -> None:
        """Begin to write, on a thread of its own."""
        sys.setswitchinterval(SWITCH_SECONDS)
        self._thread.start()

    def close(self) -> None:
        """Write what is left, and let go of the disk."""
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
        """`value`, when all that has changed until now is on disk."""
        with self._lock:
            batch = self._change_set.changed_in
            if batch <= self._written:
                return value
            held = _Held(batch, value, Future())
            self._held.append(held)
        return held.later

    def write(self) -> None:
        """Write what has changed until now, in one transaction, and answer whom it held back.

        What cannot be written is kept, and tried again the next time.
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
        if not written or self._change_set.room_left < PLENTY or self._clock() >= self._look_at:
            self._look_at_disk()
        if self._change_set.changed_in > self._written:
            self._changed.set()  # told of once, while this could not be written

    def _look_at_disk(self) -> None:
        self._look_at = self._clock() + LOOK_SECONDS
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
        """Let nothing be published until something was written and the disk looked at."""
        known, self._full = self._full, True
        self._change_set.room = 0
        if not known:  # said when it is so
            log.error("Nothing is published until there is room on the disk again: %s", why, exc_info=fault)

    def _run(self) -> None:
        while not self._stopping.is_set():
            waits_for_room = self._unwritten is not None or not self._change_set.room
            self._changed.wait(LOOK_AGAIN_SECONDS if waits_for_room else None)
            self._changed.clear()
            self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self.write()
        except Exception as error:  # noqa: BLE001  # a fault of ours, which must not end the writing
            self._refuse("a fault of the server", error)
