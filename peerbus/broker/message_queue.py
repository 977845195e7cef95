"""One subscriber's view of a topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from peerbus.broker.topic import Topic


class Batch(NamedTuple):
    """What one pull took from a message queue: the values from `offset` on, and how many were lost before."""

    offset: int
    values: Sequence[bytes]
    missed: int


class MessageQueue:
    """A position in a topic's log: the offset of the next message to hand over. It holds no messages.

    A pull hands a message over and forgets it.
    """

    __slots__ = ("_topic", "cursor", "started")

    def __init__(self, topic: Topic, cursor: int) -> None:
        self._topic = topic
        self.cursor = cursor
        self.started = cursor
        topic.readers.add(cursor)

    @property
    def missed(self) -> int:
        """Messages that were dropped before this queue handed them over, since its last pull."""
        return max(0, self._topic.log.start - self.cursor)

    @property
    def remaining(self) -> int:
        """Messages left to hand over."""
        return self._topic.log.end - self.cursor - self.missed

    @property
    def ready(self) -> bool:
        """Whether a pull has anything to answer with."""
        return bool(self.remaining or self.missed)

    @property
    def earlier(self) -> int:
        """Retained messages from before the subscription, as long as nothing was published since."""
        return self.started - self._topic.log.start if self.cursor == self.started else 0

    def pull(self, count: int, max_bytes: int) -> Batch:
        """Hand over up to `count` messages and `max_bytes` bytes, at least one message if there is one."""
        missed = self.missed
        offset = self.cursor + missed
        values = self._topic.log.read(offset, count, max_bytes)
        self._move(offset + len(values))
        return Batch(offset, values, missed)

    def seek(self, cursor: int) -> None:
        """Go on from `cursor`, forwards or back. Freed messages on the way are counted as missed."""
        self._move(cursor)
        self.started = cursor

    def close(self) -> None:
        """Give up the position, and with it the claim on the messages after it."""
        self._topic.readers.remove(self.cursor)
        self._topic.free_pulled()

    def _move(self, cursor: int) -> None:
        if cursor != self.cursor:
            self._topic.readers.move(self.cursor, cursor)
            self.cursor = cursor
            self._topic.free_pulled()
