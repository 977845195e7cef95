"""The message ids a topic has seen lately."""

from collections import OrderedDict

from peerbus.broker.memory_budget import MemoryBudget
from peerbus.broker.structures import NEVER

ID_SIZE = 300
"""Bytes counted for a message id: CPython's string and tuple of it, and its place in the window."""


class DedupWindow:
    """Remembers the messages published with each message id, within a window of count and time."""

    __slots__ = ("_limit", "_memory", "_seconds", "_seen", "first")

    def __init__(self, limit: int, seconds: float, memory: MemoryBudget) -> None:
        self._limit = limit
        self._seconds = seconds
        self._memory = memory
        self.first = 0
        """The serial number of the oldest id remembered; serials count up."""
        self._seen: OrderedDict[str, tuple[int, int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def find(self, message_id: str) -> tuple[int, int] | None:
        """The offset and count of the messages published with `message_id`, or None when it is not remembered."""
        seen = self._seen.get(message_id)
        return seen and seen[:2]

    def add(self, message_id: str, offset: int, count: int, now: float) -> int:
        """Remember that `count` messages from `offset` on were published with `message_id`; returns its serial."""
        self._seen[message_id] = offset, count, now
        self._memory.used += ID_SIZE
        if len(self._seen) > self._limit:
            self.forget(1)
        return self.first + len(self._seen) - 1

    def expire(self, now: float) -> bool:
        """Forget the ids older than the window; returns whether there were any."""
        first = self.first
        while self.next_expiry() <= now:
            self.forget(1)
        return self.first != first

    def next_expiry(self) -> float:
        """When the oldest id is forgotten."""
        return next(iter(self._seen.values()))[2] + self._seconds if self._seen else NEVER

    def forget(self, limit: int) -> int:
        """Forget up to `limit` of the oldest ids; returns how many there were."""
        count = min(limit, len(self._seen))
        for _ in range(count):
            self._seen.popitem(last=False)
        self.first += count
        self._memory.used -= ID_SIZE * count
        return count
