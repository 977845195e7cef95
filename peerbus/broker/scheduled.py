"""Messages of a topic that are to be published later."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from peerbus.broker.log import MESSAGE_OVERHEAD
from peerbus.broker.memory_budget import MemoryBudget
from peerbus.broker.structures import SortedKeys

ENTRY_SIZE = 330
"""Bytes counted for an entry besides its messages: CPython's objects for it, and its place in the order."""
RELEASE_COST = 20
"""The cost of releasing an entry: as much as releasing so many values of a log."""
SKIPPED_AT_ONCE = 1000
"""Keys that a page reads at once, at least: those of cancelled entries may be among them."""

Place = tuple[float, int]
"""The due time and the number of an entry: its place in the order."""
BEFORE_ALL: Place = (float("-inf"), 0)


class Entry(Struct, gc=False):
    """Messages that are published together, in one step, when they are due.

    `due` is in milliseconds of the broker's clock. `size` is what the values are counted as. `serial` is that of the
    message id in the topic's window.
    """

    due: int
    number: int
    values: Sequence[bytes]
    size: int
    publisher: str | None
    message_id: str | None
    serial: int | None = None
    problem: str | None = None
    """Why it is not published although it is due; None before it was tried."""

    @property
    def due_seconds(self) -> float:
        """The due time in seconds of the broker's clock."""
        return self.due / 1000

    @property
    def value_bytes(self) -> int:
        """The bytes of the values alone."""
        return self.size - MESSAGE_OVERHEAD * len(self.values)


class Scheduled:
    """The entries of one topic, in the order of their due times; those of the same time in the order of their numbers.

    A cancelled entry is gone at once; its memory is released in slices.
    """

    __slots__ = ("_cancelled", "_cleared", "_entries", "_memory", "_order", "messages", "waiting")

    def __init__(self, memory: MemoryBudget) -> None:
        self._memory = memory
        self._entries: dict[int, Entry] = {}
        self._order: SortedKeys[Place] = SortedKeys()
        self._cancelled: list[Entry] = []
        """Entries that still have a place in the order."""
        self._cleared = False
        self.messages = 0
        """Messages of all entries."""
        self.waiting = 0
        """Those of entries that are due and found no room."""

    def add(self, entry: Entry) -> None:
        """Add an entry, whose memory is counted already."""
        self._entries[entry.number] = entry
        self._order.add((entry.due, entry.number))
        self._memory.scheduled += entry.size + ENTRY_SIZE
        self.messages += len(entry.values)

    def first(self) -> Entry | None:
        """The entry that is due first; no cancelled one may be unreleased."""
        place = self._order.first()
        return None if place is None else self._entries[place[1]]

    def found_no_room(self, entry: Entry, problem: str) -> None:
        """Note why an entry that is due is not published."""
        if entry.problem is None:
            self.waiting += len(entry.values)
        entry.problem = problem

    def take(self, entry: Entry) -> None:
        """Remove an entry, whose messages, and the memory of them, count as those of its topic from now on."""
        del self._entries[entry.number]
        self._order.discard((entry.due, entry.number))
        self._forget([entry])
        self._memory.scheduled -= entry.size + ENTRY_SIZE
        self._memory.used -= ENTRY_SIZE

    def cancel(self, numbers: Iterable[int]) -> list[int]:
        """Cancel the entries of those numbers, if they are there; returns the numbers of the cancelled ones."""
        cancelled = [self._entries.pop(number) for number in self._entries.keys() & numbers]
        self._forget(cancelled)
        self._cancelled += cancelled
        self._release_or_later()
        return [entry.number for entry in cancelled]

    def page(self, limit: int, after: Place) -> list[Entry]:
        """The first `limit` entries that come after the place `after`."""
        found: list[Entry] = []
        while len(found) < limit and (places := self._order.page(max(limit, SKIPPED_AT_ONCE), after)):
            after = places[-1]
            found += [self._entries[number] for _, number in places if number in self._entries]
        return found[:limit]

    def clear(self) -> None:
        """Cancel all entries: no call may follow but `release`."""
        self._cleared = True
        self.messages = 0
        self._release_or_later()

    @property
    def unreleased(self) -> bool:
        """Whether there are cancelled entries to release."""
        return bool(self._cancelled or (self._cleared and self._entries))

    def release(self, limit: int) -> int:
        """Release cancelled entries at a cost of about `limit`; returns the cost, less than that if none is left."""
        cost = size = 0
        while self.unreleased and cost < limit:
            entry = self._cancelled.pop() if self._cancelled else self._entries.popitem()[1]
            self._order.discard((entry.due, entry.number))
            size += entry.size + ENTRY_SIZE
            cost += RELEASE_COST + len(entry.values)
        self._memory.scheduled -= size
        self._memory.give_back(size)
        return cost

    def _forget(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.messages -= len(entry.values)
            self.waiting -= len(entry.values) if entry.problem else 0

    def _release_or_later(self) -> None:
        self.release(self._memory.released_at_once)
        if self.unreleased:
            self._memory.release_later(self)
