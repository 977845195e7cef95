"""What the messages of all topics hold together."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from peerbus.errors import MemoryFull, TooLarge

if TYPE_CHECKING:
    from peerbus.broker.topic import Topic


class MemoryBudget:
    """Counts the bytes of every log against one limit, and takes back history when it is reached.

    History is what a log keeps only for replay: every subscriber has pulled it. It never stands in the
    way of a new message.
    """

    __slots__ = ("_history", "_limit", "freed", "used")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0
        self.freed = 0
        """Bytes of messages let go of since the beginning."""
        self._history: OrderedDict[Topic, None] = OrderedDict()

    def reserve(self, size: int) -> None:
        """Count `size` bytes more, dropping the longest kept histories until they fit.

        Raises `MemoryFull`, and counts nothing, when what subscribers have yet to pull leaves no room, and
        `TooLarge` when there can never be enough.
        """
        if size > self._limit:
            raise TooLarge(f"The server keeps {self._limit} bytes of messages, and never so many at once as these.")
        while self.used + size > self._limit and self._history:
            topic, _ = self._history.popitem(last=False)
            topic.give_up_history()
        if self.used + size > self._limit:
            raise MemoryFull(
                f"The messages waiting for subscribers fill the server's memory for them ({self._limit} bytes). "
                "Publish again when some have been pulled."
            )
        self.used += size

    def free(self, topic: Topic, start: int) -> None:
        """Free the messages of `topic` before `start`."""
        self._give_back(topic.free(start))

    def keep_history(self, topic: Topic, has_any: bool) -> None:
        """Note whether `topic` has messages that every subscriber has pulled."""
        if has_any:
            self._history[topic] = None
        else:
            self._history.pop(topic, None)

    def forget(self, topic: Topic) -> list[bytes | None]:
        """Stop counting `topic`, which nobody will read again; returns its messages, for the caller to let go of."""
        self._history.pop(topic, None)
        self._give_back(topic.size)
        return topic.take_all()

    def _give_back(self, size: int) -> None:
        self.used -= size
        self.freed += size
