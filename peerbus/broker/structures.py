"""Data structures: keys by due time, keys in order, the last of many items, the lowest of many positions."""

from bisect import bisect_left, bisect_right, insort
from heapq import heapify, heappop, heappush
from itertools import count, islice
from operator import itemgetter
from typing import Generic, TypeVar

NEVER = float("inf")
NOW = float("-inf")
"""The due time of work that is due already."""
STALE_ENTRIES = 64
"""Heap entries that are out of date, beyond one a key, before they are removed."""

LONGEST_RUN = 2000
"""Keys in one list of `SortedKeys`."""

Key = TypeVar("Key")
Value = TypeVar("Value")
Ordered = TypeVar("Ordered", str, tuple[float, int])
_first = itemgetter(0)


class Schedule(Generic[Key]):
    """Keys by due time, those with the same time in the order in which it was set.

    Setting a later time and discarding are amortised constant time: the heap keeps the old entry and corrects it when
    it comes first, or when most entries are out of date. Setting an earlier time, and taking a key, cost the logarithm
    of the number of keys.
    """

    __slots__ = ("_entries", "_heap", "_order", "_times")

    def __init__(self) -> None:
        self._times: dict[Key, tuple[float, int]] = {}
        """The due time of each key, and its place among those of the same time."""
        self._entries: dict[Key, tuple[float, int]] = {}
        """The entry that the heap has for each key: the same, or earlier."""
        self._heap: list[tuple[float, int, Key]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._times)

    def set(self, key: Key, time: float) -> None:
        """Let `key` fall due at `time` instead of any other; `NEVER` discards it."""
        if time == NEVER:
            self.discard(key)
            return
        self._times[key] = due = (time, next(self._order))
        entry = self._entries.get(key)
        if entry is None or due < entry:
            self._push(key, due)
            self._rebuild_if_stale()

    def discard(self, key: Key) -> None:
        """Remove `key`, if it is set."""
        if self._times.pop(key, None):
            self._rebuild_if_stale()

    def time(self, key: Key, absent: float = NEVER) -> float:
        """The due time of `key`, or `absent`."""
        return self._times[key][0] if key in self._times else absent

    def next(self) -> float:
        """The due time of the first key, or `NEVER`."""
        while self._heap:
            time, order, key = self._heap[0]
            if self._times.get(key) == (time, order):
                return time
            self._correct()
        return NEVER

    @property
    def entries(self) -> int:
        """Entries of the heap, those out of date among them."""
        return len(self._heap)

    def take(self, now: float, limit: int | None = None) -> list[Key]:
        """Remove and return the keys that are due by `now`, up to `limit` of them."""
        due: list[Key] = []
        while self.next() <= now and len(due) != limit:
            _, _, key = heappop(self._heap)
            del self._entries[key]
            del self._times[key]
            due.append(key)
        return due

    def _correct(self) -> None:
        """Replace the first entry, which is out of date, by one with the time its key is due."""
        time, order, key = heappop(self._heap)
        if self._entries.get(key) == (time, order):
            del self._entries[key]
            if key in self._times:
                self._push(key, self._times[key])

    def _push(self, key: Key, due: tuple[float, int]) -> None:
        self._entries[key] = due
        heappush(self._heap, (*due, key))

    def _rebuild_if_stale(self) -> None:
        """Without this, many keys discarded before they are due would be corrected all at once, 2 us for each."""
        if len(self._heap) <= 2 * len(self._times) + STALE_ENTRIES:
            return
        self._entries = dict(self._times)
        self._heap = [(*due, key) for key, due in self._times.items()]
        heapify(self._heap)


class SortedKeys(Generic[Ordered]):
    """Keys in order, none of them twice: adding, discarding and a page cost about the same for ten and for a million.

    They are in short lists, so that few keys move in memory.
    """

    __slots__ = ("_longest_run", "_runs")

    def __init__(self, longest_run: int = LONGEST_RUN) -> None:
        self._longest_run = longest_run
        self._runs: list[list[Ordered]] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def add(self, key: Ordered) -> None:
        """Add a key that is not among them."""
        if not self._runs:
            self._runs.append([key])
            return
        at = self._run_of(key)
        run = self._runs[at]
        insort(run, key)
        if len(run) > self._longest_run:
            half = len(run) // 2
            self._runs[at : at + 1] = [run[:half], run[half:]]

    def discard(self, key: Ordered) -> None:
        """Remove a key, if it is among them."""
        if not self._runs:
            return
        at = self._run_of(key)
        run = self._runs[at]
        place = bisect_left(run, key)
        if run[place : place + 1] == [key]:
            del run[place]
            if not run:
                del self._runs[at]

    def first(self) -> Ordered | None:
        """The first key, if there is one."""
        return self._runs[0][0] if self._runs else None

    def page(self, limit: int, after: Ordered) -> list[Ordered]:
        """The first `limit` keys that come after `after`."""
        at = self._run_of(after)
        found: list[Ordered] = []
        for run in islice(self._runs, at, None):
            start = 0 if found else bisect_right(run, after)
            found += run[start : start + limit - len(found)]
            if len(found) == limit:
                break
        return found

    def _run_of(self, key: Ordered) -> int:
        """The list that has `key`, or would have it."""
        return max(0, bisect_right(self._runs, key, key=_first) - 1)


def last_item(items: dict[Key, Value]) -> tuple[Key, Value]:
    """The item that was added last: found at once, however many were removed, which iterating would skip each time."""
    key, value = items.popitem()
    items[key] = value
    return key, value


class LowWaterMark:
    """The lowest position of all readers of a log; the messages before it are needed by none.

    Adding, removing and moving a reader are constant time. Finding the next lowest position costs at most the distance
    to it: the search goes upwards, or through all positions where they are fewer than that distance. So it is
    amortised constant time a message, however many readers there are.
    """

    __slots__ = ("_readers", "lowest")

    def __init__(self) -> None:
        self._readers: dict[int, int] = {}
        self.lowest: int | None = None
        """None if there is no reader."""

    def add(self, position: int) -> None:
        """A reader begins at `position`."""
        if self.lowest is None or position < self.lowest:
            self.lowest = position
        self._readers[position] = self._readers.get(position, 0) + 1

    def remove(self, position: int) -> None:
        """A reader at `position` leaves."""
        left = self._readers[position] - 1
        if left:
            self._readers[position] = left
            return
        del self._readers[position]
        if position == self.lowest:
            self.lowest = self._next_occupied(position)

    def move(self, position: int, to: int) -> None:
        """A reader goes from `position` to `to`, in either direction."""
        if position != to:
            self.add(to)
            self.remove(position)

    def _next_occupied(self, position: int) -> int | None:
        for candidate in range(position + 1, position + 1 + len(self._readers)):
            if candidate in self._readers:
                return candidate
        return min(self._readers, default=None)


NO_READERS = LowWaterMark()
"""Of a log that never had a reader; never changed."""
