"""The bytes that the messages of all topics hold together."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from peerbus.errors import MemoryFull, TooLarge

RELEASED_AT_ONCE = 1000
"""Freed values that are released at once; if there are more, the rest follow in slices."""


class Releasable(Protocol):
    """Something that has freed values, which still count against the budget."""

    def release(self, limit: int) -> int:
        """Release up to `limit` freed values and give their bytes back; returns their number.

        It is at least `limit` if there may be more.
        """
        ...


class Reclaimable(Protocol):
    """Something that has messages kept only for replay."""

    def give_up_history(self) -> None:
        """Free the messages kept only for replay."""


class MemoryBudget:
    """Counts the bytes of every log against one limit, and takes back history when it is reached.

    History is the messages that a log keeps only for replay: every subscriber has pulled them. It never leaves a new
    message without room. Neither do values that are freed and not released yet, because there were many at once.
    """

    __slots__ = ("_history", "_limit", "_on_unreleased", "_slice", "_unreleased", "freed", "released_at_once", "used")

    def __init__(self, limit: int, values: int, on_unreleased: Callable[[], None]) -> None:
        """At most `limit` bytes; `release` releases at most so many `values`.

        `on_unreleased` is called when there are values to release.
        """
        self._limit = limit
        self._slice = values
        self._on_unreleased = on_unreleased
        self.released_at_once = min(values, RELEASED_AT_ONCE)
        self.used = 0
        self.freed = 0
        """Bytes of messages released since the beginning."""
        self._history: OrderedDict[Reclaimable, None] = OrderedDict()
        self._unreleased: dict[Releasable, None] = {}

    def reserve(self, size: int) -> None:
        """Count `size` bytes more, after releasing freed values and the oldest histories until they fit.

        Raises `MemoryFull`, and counts nothing, if unread messages leave no room, and
        `TooLarge` when there can never be enough.
        """
        if size > self._limit:
            raise TooLarge(f"The server keeps {self._limit} bytes of messages, and never so many at once as these.")
        while self.used + size > self._limit and (self._unreleased or self._history):
            if self._unreleased:
                self.release()
            else:
                topic, _ = self._history.popitem(last=False)
                topic.give_up_history()
        if self.used + size > self._limit:
            raise MemoryFull(
                f"The messages waiting for subscribers fill the server's memory for them ({self._limit} bytes). "
                "Publish again when some have been pulled."
            )
        self.used += size

    def give_back(self, size: int) -> None:
        """Messages of `size` bytes were released."""
        self.used -= size
        self.freed += size

    def keep_history(self, topic: Reclaimable, has_any: bool) -> None:
        """Note whether `topic` has messages that every subscriber has pulled."""
        if has_any:
            self._history[topic] = None
        else:
            self._history.pop(topic, None)

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
