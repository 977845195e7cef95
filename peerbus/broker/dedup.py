"""The message ids a topic has seen lately."""

from collections import OrderedDict

from peerbus.broker.memory_budget import MemoryBudget
from peerbus.broker.structures import NEVER
from peerbus.standstill import Standstill

ID_SIZE = 300
"""Bytes counted for a message id: CPython's string and tuple of it, and its place in the window."""


Seen = tuple[int | None, int, int | None, float]
"""Offset and count of the messages, the number of their schedule, and when the id was seen.

There is no offset while they are scheduled, and no number unless they were.
"""


class DedupWindow:
    """Remembers the messages published with each message id, within a window of count and time."""

    __slots__ = ("_limit", "_memory", "_seconds", "_seen", "_standstill", "first")

    def __init__(self, limit: int, seconds: float, memory: MemoryBudget, standstill: Standstill) -> None:
        self._limit = limit
        self._seconds = seconds
        self._memory = memory
        self._standstill = standstill
        self.first = 0
        """The serial number of the oldest id remembered; serials count up."""
        self._seen: OrderedDict[str, Seen] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def begin(self, first: int = 0) -> "DedupWindow":
        """An empty window with the same limits, whose next serial number is `first`."""
        window = DedupWindow(self._limit, self._seconds, self._memory, self._standstill)
        window.first = first
        return window

    def find(self, message_id: str) -> Seen | None:
        """The messages that were published with `message_id`; None if it is not remembered."""
        return self._seen.get(message_id)

    def add(self, message_id: str, offset: int | None, count: int, scheduled: int | None, now: float) -> int:
        """Remember what was published with `message_id`, for which memory is reserved; returns its serial."""
        self._seen[message_id] = offset, count, scheduled, now
        self._memory.ids += ID_SIZE
        if len(self._seen) > self._limit:
            self.forget(1)
        return self.first + len(self._seen) - 1

    def published(self, message_id: str, scheduled: int, offset: int) -> float | None:
        """Messages that were scheduled have an offset now; returns when the id was seen, None if it is forgotten."""
        seen = self._seen.get(message_id)
        if seen is None or seen[2] != scheduled:
            return None
        self._seen[message_id] = offset, *seen[1:]
        return seen[3]

    def expire(self, now: float) -> bool:
        """Forget the ids older than the window; returns whether there were any.

        After a standstill, those of before have their whole time again: a publish may be repeated when it is over.
        """
        first = self.first
        while self.next_expiry() <= now:
            self._standstill.check(now)
            if self.next_expiry() <= now:
                self.forget(1)
        return self.first != first

    def next_expiry(self) -> float:
        """When the oldest id is forgotten."""
        if not self._seen:
            return NEVER
        return max(next(iter(self._seen.values()))[3], self._standstill.ended) + self._seconds

    def forget(self, limit: int) -> int:
        """Forget up to `limit` of the oldest ids; returns how many there were."""
        count = min(limit, len(self._seen))
        for _ in range(count):
            self._seen.popitem(last=False)
        self.first += count
        self._memory.ids -= ID_SIZE * count
        self._memory.give_back(ID_SIZE * count)
        return count
