"""The bytes that the messages of all topics hold together, and what is noted about them."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from peerbus.broker.structures import Schedule
from peerbus.errors import MemoryFull, TooLarge

RELEASED_AT_ONCE = 1000
"""Freed values that are released at once; if there are more, the rest follow in slices."""
IDS_SHARE = 4
"""Message ids that take more than this fraction of the memory are forgotten before history is given up."""
IDS_AT_ONCE = 100
"""Message ids that are forgotten at once to make room: some 20 us."""


class Releasable(Protocol):
    """Something that has freed values, which still count against the budget."""

    def release(self, limit: int) -> int:
        """Release up to `limit` freed values and give their bytes back; returns their number.

        It is at least `limit` if there may be more.
        """
        ...


class Reclaimable(Protocol):
    """Something that keeps messages for replay alone, or message ids."""

    def give_up_history(self) -> None:
        """Free the messages kept only for replay."""

    def give_up_ids(self, limit: int) -> float:
        """Forget up to `limit` of the oldest message ids; returns when the oldest of the others expires, or `NEVER`."""
        ...

    def next_id_expiry(self) -> float:
        """When the oldest message id expires."""
        ...


class MemoryBudget:
    """Counts the bytes of messages and of what is noted about them against one limit, and takes back what it can.

    It takes back, in this order, values that are freed and not released yet, message ids beyond a quarter of the limit,
    history, and the other message ids; of ids and of histories the oldest first. History is the messages that a log
    keeps only for replay: every subscriber has pulled them. It goes before ids, because it is not promised, but ids may
    not drive out all of it. None of these leaves a new message without room.
    """

    __slots__ = (
        "_history",
        "_limit",
        "_on_unreleased",
        "_slice",
        "_unreleased",
        "_with_ids",
        "freed",
        "ids",
        "in_flight",
        "released_at_once",
        "scheduled",
        "used",
    )

    def __init__(self, limit: int, values: int, on_unreleased: Callable[[], None]) -> None:
        """At most `limit` bytes; `release` releases at most so many `values`.

        `on_unreleased` is called when there are values to release.
        """
        self._limit = limit
        self._slice = values
        self._on_unreleased = on_unreleased
        self.released_at_once = min(values, RELEASED_AT_ONCE)
        self.used = 0
        self.ids = self.scheduled = self.in_flight = 0
        """Of `used`, the bytes of message ids, of messages to be published later, and of deliveries in flight."""
        self.freed = 0
        """Bytes released since the beginning."""
        self._history: OrderedDict[Reclaimable, None] = OrderedDict()
        self._with_ids: Schedule[Reclaimable] = Schedule()
        """By the time at which the oldest message id expires, or did when it was noted."""
        self._unreleased: dict[Releasable, None] = {}

    def reserve(self, size: int) -> None:
        """Count `size` bytes more, after taking back others until they fit.

        Raises `MemoryFull`, and counts nothing, if there is no room, and `TooLarge` when there can never be enough.
        """
        if size > self._limit:
            raise TooLarge(f"The server keeps {self._limit} bytes of messages, and never so many at once as these.")
        if self.make_room(size) < size:
            raise self._full()
        self.used += size

    def make_room(self, size: int) -> int:
        """Take back others until `size` bytes fit; returns how many fit."""
        while self.used + size > self._limit and self._take_back():
            pass
        return self._limit - self.used

    def has_room(self, size: int) -> bool:
        """Whether `size` bytes fit, or there is something to take back."""
        return self.used + size <= self._limit or bool(self._unreleased or self._history or self.ids)

    def give_back(self, size: int) -> None:
        """Messages or message ids of `size` bytes were released."""
        self.used -= size
        self.freed += size

    def count_in_flight(self, size: int) -> None:
        """Deliveries take `size` bytes more, or less; they are not refused for want of room."""
        self.in_flight += size
        self.used += size
        self.freed -= min(0, size)

    def keep_history(self, topic: Reclaimable, has_any: bool) -> None:
        """Note whether `topic` has messages that every subscriber has pulled."""
        if has_any:
            self._history[topic] = None
        else:
            self._history.pop(topic, None)

    def keep_ids(self, topic: Reclaimable, expiry: float) -> None:
        """Note when the oldest message id of `topic` expires; `NEVER` if it has none."""
        self._with_ids.set(topic, expiry)

    def release_later(self, holder: Releasable) -> None:
        """`holder` has freed values to be released."""
        self._unreleased[holder] = None
        self._on_unreleased()

    @property
    def unreleased(self) -> bool:
        """Whether there are freed values to release."""
        return bool(self._unreleased)

    def release(self) -> None:
        """Release one slice of the freed values."""
        left = self._slice
        while self._unreleased and left > 0:
            holder = next(iter(self._unreleased))
            released = holder.release(left)
            if released < left:
                del self._unreleased[holder]
            left -= released

    def _take_back(self) -> bool:
        """Take back something; returns whether there was anything."""
        if self._unreleased:
            self.release()
        elif self.ids * IDS_SHARE > self._limit and len(self._with_ids):
            self._take_back_ids()
        elif self._history:
            topic, _ = self._history.popitem(last=False)
            topic.give_up_history()
        elif len(self._with_ids):
            self._take_back_ids()
        else:
            return False
        return True

    def _take_back_ids(self) -> None:
        noted = self._with_ids.next()
        (topic,) = self._with_ids.take(noted, 1)
        expiry = topic.next_id_expiry()
        self._with_ids.set(topic, topic.give_up_ids(IDS_AT_ONCE) if expiry <= noted else expiry)

    def _full(self) -> MemoryFull:
        kinds = {
            "messages that wait for subscribers": self.used - self.ids - self.scheduled - self.in_flight,
            "messages to be published later": self.scheduled,
            "notes on messages in flight": self.in_flight,
        }
        held = ", ".join(f"{size} of {kind}" for kind, size in kinds.items() if size > 0)
        return MemoryFull(
            f"The server's memory for messages is full. Of {self._limit} bytes it holds {held or 'none'}. "
            "Publish again when some have been pulled and acknowledged."
        )
