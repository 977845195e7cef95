"""Persistence of the broker's state: none, or on disk before a call that changed it is answered."""

import logging
import threading
from collections.abc import Callable, Sequence
from time import monotonic, perf_counter, time
from typing import TypeVar

from peerbus.broker import Broker, Limits
from peerbus.broker.change_set import ChangeSet
from peerbus.broker.records import Changes
from peerbus.broker.state import PER_SLICE, Slice
from peerbus.errors import UNKEPT, NotReady, PeerbusError
from peerbus.future import Future, then
from peerbus.histogram import Histogram
from peerbus.storage import Storage
from peerbus.storage.failures import described, fault, no_room
from peerbus.storage.held_back import Deliver, HeldBack

log = logging.getLogger(__name__)

MEASURE_SECONDS = 0.1
"""How often the room on the disk is measured while there is plenty; between two measurements it is calculated."""
PLENTY = 64 << 20
"""Bytes of room below which the disk is measured after each commit."""
RETRY_SECONDS = 0.5
"""After this long a failed commit is tried again, and a full disk measured again."""

LITTLE_ROOM = 1 << 16
"""Bytes of room below which publishes are refused."""
ROOM_AGAIN = 1 << 20
"""Bytes of room from which on they are accepted again: more, so that this does not change with each message."""

COMMIT_BOUNDS = tuple(factor * 10.0**power for power in range(-4, 1) for factor in (1, 2.5, 5))
"""0.1 ms to 5 s: a commit to a good disk takes some hundred microseconds, to a busy one seconds."""

T = TypeVar("T")


class InMemory:
    """Persists nothing: the state ends with the process."""

    commits: Histogram | None = None
    """Durations of commits; None if there are none."""

    def open(
        self,
        limits: Limits,
        on_topic_deleted: Callable[[str, Sequence[str]], None],
        on_due: Callable[[], None] = lambda: None,
    ) -> Broker:
        """An empty broker."""
        return Broker(limits, on_topic_deleted=on_topic_deleted, on_due=on_due)

    def start(self, _deliver: Deliver | None = None, /) -> None:
        """Do nothing."""

    def after_commit(self, value: T) -> T | Future[T]:
        """`value`, at once."""
        return value

    def close(self) -> None:
        """Do nothing."""


class GroupCommit(InMemory):
    """Writes a broker's changes to disk in batches, each in one transaction.

    While one batch is written the next one gathers. So concurrent callers share the cost of a flush, and a single
    caller waits for its own alone.
    """

    def __init__(
        self,
        storage: Storage,
        reserve: int,
        clock: Callable[[], float] = monotonic,
        wall_clock: Callable[[], float] = time,
    ) -> None:
        """Publishes are refused if less than `reserve` bytes are free; pulls and acknowledgements may use those.

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
        """A batch that could not be written yet."""
        self._refusal: PeerbusError | None = None
        """The error with which publishes are refused, while they are."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def open(
        self,
        limits: Limits,
        on_topic_deleted: Callable[[str, Sequence[str]], None],
        on_due: Callable[[], None] = lambda: None,
        per_slice: Slice = PER_SLICE,
    ) -> Broker:
        """The broker as of the last commit; raises `StorageError`.

        `on_topic_deleted` is called when the deletion is on disk; `on_due` and `per_slice` are the broker's.
        """

        def tell(topic: str, peers: Sequence[str]) -> None:
            then(self.after_commit(topic), lambda topic: on_topic_deleted(topic, peers))

        contents = self._storage.load(lambda messages: log.info("%d messages loaded.", messages))
        log.info("Read %d peers, %d topics.", len(contents.peers), len(contents.topics))
        self._change_set = ChangeSet(
            self._clock, self._wall_clock, self._changed.set, limits.max_bytes, contents.clock_set
        )
        self._held = HeldBack(self._change_set)
        self._measure_disk()
        self._broker = Broker(
            limits, self._clock, tell, self._change_set, contents, self._wall_clock, on_due, per_slice
        )
        stats = self._broker.stats()
        log.info("Loaded %d peers, %d topics.", stats.peers, stats.topics)
        return self._broker

    def start(self, deliver: Deliver | None = None, /) -> None:
        """Begin to write, in a thread of its own.

        The futures of a batch are resolved in one call that `deliver` makes; by default, and where it returns false,
        in the writing thread.
        """
        self._held.deliver = deliver
        self._thread.start()

    def close(self) -> None:
        """Write the remaining changes and close the storage; calls whose changes cannot be written fail."""
        self._stopping.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._try_to_write()
        if self._held.waits:
            self._try_to_write()  # the changes since a batch that had failed before
        kind = type(self._refusal or NotReady(""))
        self._held.fail(kind("The server stopped before this was on its disk."))
        self._storage.close()

    def after_commit(self, value: T) -> T | Future[T]:
        """`value`, when all changes made until now are on disk.

        The future fails if the server stops before, with the error of the disk.
        """
        return self._held.hold(value)

    def write(self) -> None:
        """Commit the changes made until now, all or none, and resolve the futures that wait for them.

        Changes that cannot be written are kept, and written first the next time.
        """
        if self._unwritten is None:
            self._unwritten = self._broker.locked(self._change_set.take).records()
        try:
            if self._unwritten:
                began = perf_counter()
                self._storage.write(self._unwritten)
                self._commit_took(perf_counter() - began)
        except UNKEPT as error:
            self._change_set.is_stuck = True
            self._refuse(error)
            return
        self._change_set.is_stuck = False
        written, self._unwritten = self._unwritten, None
        self._broker.written(written)
        self._change_set.written()
        self._held.release(self._change_set.batch - 1)
        if not written or self._change_set.room_left < PLENTY or self._clock() >= self._measure_at:
            self._measure_disk()
        if self._held.waits:
            self._changed.set()  # signalled only once, while this batch could not be written

    def _measure_disk(self) -> None:
        self._measure_at = self._clock() + MEASURE_SECONDS
        try:
            stored, free = self._storage.size, self._storage.free
        except UNKEPT as error:
            self._refuse(error)
            return
        # Each message is written twice: to the write-ahead log, and from there to the database.
        room = (free - self._reserve) // 2
        if room < (ROOM_AGAIN if self._refusal else LITTLE_ROOM):
            self._change_set.measured(stored, 0)
            self._refuse(no_room("less than --min-free is left"))
            return
        known, self._refusal = self._refusal, None
        self._change_set.measured(stored, room)
        if known:
            log.info("Changes are written to the disk again, and messages are published.")

    def _refuse(self, error: PeerbusError, cause: Exception | None = None) -> None:
        """Refuse publishes with `error` until a batch is written and the disk measured."""
        known, self._refusal = self._refusal, error
        self._change_set.refuse(error)
        if str(known) != str(error):  # logged once it is so, since readers of the line rely on it
            detail = f" ({self._storage.place}: {described(error.__cause__)})" if error.__cause__ else ""
            log.error("Nothing is published for now. %s%s", error, detail, exc_info=cause)

    def _run(self) -> None:
        while not self._stopping.is_set():
            waits_for_room = self._unwritten is not None or not self._change_set.room
            self._changed.wait(RETRY_SECONDS if waits_for_room else None)
            self._changed.clear()
            self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self.write()
        except Exception as error:  # noqa: BLE001  # a fault of this program must not end the thread
            self._change_set.is_stuck = True
            self._refuse(fault(), error)
