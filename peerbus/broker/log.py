"""A topic's messages by offset."""

from collections.abc import Sequence
from itertools import accumulate, takewhile

MESSAGE_OVERHEAD = 64
"""Bytes counted for a message beside its value: CPython's object header, its slot in the log, rounding."""

COMPACT_FROM = 1024
"""Freed slots below which the log does not bother to give them back."""


def size_of(values: Sequence[bytes]) -> int:
    """The bytes that `values` are counted as."""
    return sum(map(len, values)) + MESSAGE_OVERHEAD * len(values)


class Log:
    """An append-only sequence of message values whose oldest are freed from the front.

    Offsets count from 0 and are never reused: `start` is the oldest retained, `end` the next one to be
    given. Appending and freeing are amortised constant time a message; reading costs what it returns.
    """

    __slots__ = ("_base", "_values", "end", "size", "start")

    def __init__(self) -> None:
        self._values: list[bytes | None] = []
        self._base = 0
        self.start = self.end = 0
        self.size = 0

    def begin_at(self, offset: int) -> None:
        """Let the first message appended to an empty log have `offset`."""
        self._base = self.start = self.end = offset

    @property
    def slots(self) -> int:
        """Places taken up, by retained messages and by freed ones not yet given back."""
        return len(self._values)

    def extend(self, values: Sequence[bytes], size: int) -> int:
        """Add `values`, counted as `size` bytes, and return the offset of the first."""
        offset = self.end
        self._values.extend(values)
        self.end += len(values)
        self.size += size
        return offset

    def read(self, offset: int, count: int, max_bytes: int) -> Sequence[bytes]:
        """Up to `count` values from `offset` on, up to `max_bytes` together but at least one if there is one.

        `offset` must be retained.
        """
        first = offset - self._base
        values: list[bytes] = self._values[first : first + count]  # type: ignore[assignment]  # retained
        if sum(map(len, values)) <= max_bytes:
            return values
        fitting = sum(1 for _ in takewhile(lambda total: total <= max_bytes, accumulate(map(len, values))))
        return values[: max(1, fitting)]

    def read_back(self, end: int, count: int, max_bytes: int) -> Sequence[bytes]:
        """Up to `count` of the values before `end`, the last ones, within `max_bytes` as in `read`."""
        first = max(self.start, end - count)
        values: list[bytes] = self._values[first - self._base : max(first, end) - self._base]  # type: ignore[assignment]
        totals = accumulate(map(len, reversed(values)))
        fitting = sum(1 for _ in takewhile(lambda total: total <= max_bytes, totals))
        return values[-max(1, fitting) :]

    def take_all(self) -> list[bytes | None]:
        """Take all values out of the log, for the caller to let go of where that harms nobody."""
        values, self._values = self._values, []
        self._base = self.start = self.end
        self.size = 0
        return values

    def free(self, start: int) -> int:
        """Free what comes before `start` and return the bytes given back. Freeing twice does nothing."""
        start = min(start, self.end)
        if start <= self.start:
            return 0
        first, last = self.start - self._base, start - self._base
        freed = size_of(self._values[first:last])  # type: ignore[arg-type]  # retained until now
        self._values[first:last] = [None] * (last - first)
        self.start = start
        self.size -= freed
        if last >= COMPACT_FROM and last * 2 >= len(self._values):
            del self._values[:last]
            self._base = start
        return freed
