"""A topic's messages by offset."""

from collections.abc import Sequence
from itertools import accumulate, takewhile

MESSAGE_OVERHEAD = 64
"""Bytes counted for a message besides its value: CPython's object header, its slot in the log, rounding."""

COMPACT_FROM = 1024
"""Released slots below which the log does not shrink its list."""


def size_of(values: Sequence[bytes], size: int | None = None) -> int:
    """The bytes that `values` are counted as; they are measured unless their `size` is given."""
    return (sum(map(len, values)) if size is None else size) + MESSAGE_OVERHEAD * len(values)


class Log:
    """An append-only sequence of message values whose oldest are freed from the front.

    Offsets count from 0 and are never reused: `start` is the oldest retained, `end` the next to be given. Freeing
    moves `start`, at no cost; `release` drops the values. Appending and releasing are amortised constant time a
    message; reading takes time in proportion to its result.
    """

    __slots__ = ("_base", "_released", "_values", "end", "start")

    def __init__(self) -> None:
        self._values: list[bytes | None] = []
        self._base = self._released = 0
        """The offset of the first slot, and the offset before which every value is released."""
        self.start = self.end = 0

    def begin_at(self, offset: int) -> None:
        """Let the first message appended to an empty log have `offset`."""
        self._base = self._released = self.start = self.end = offset

    @property
    def slots(self) -> int:
        """Slots in the list, of values and of released ones."""
        return len(self._values)

    @property
    def unreleased(self) -> int:
        """Freed values that are not released yet."""
        return self.start - self._released

    def extend(self, values: Sequence[bytes]) -> int:
        """Add `values` and return the offset of the first."""
        offset = self.end
        self._values.extend(values)
        self.end += len(values)
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
        """Up to `count` of the last values before `end`, within `max_bytes` as in `read`."""
        first = max(self.start, end - count)
        values: list[bytes] = self._values[first - self._base : max(first, end) - self._base]  # type: ignore[assignment]
        totals = accumulate(map(len, reversed(values)))
        fitting = sum(1 for _ in takewhile(lambda total: total <= max_bytes, totals))
        return values[-max(1, fitting) :]

    def free(self, start: int) -> bool:
        """Free the messages before `start`; returns whether there were any."""
        start = min(start, self.end)
        if start <= self.start:
            return False
        self.start = start
        return True

    def release_values(self, limit: int) -> int:
        """Release up to `limit` freed values, and return the bytes they were counted as."""
        last_offset = min(self._released + limit, self.start)
        first, last = self._released - self._base, last_offset - self._base
        size = size_of(self._values[first:last])  # type: ignore[arg-type]  # not released yet
        self._values[first:last] = [None] * (last - first)
        self._released = last_offset
        if last >= COMPACT_FROM and last * 2 >= len(self._values):
            del self._values[:last]
            self._base = last_offset
        return size
