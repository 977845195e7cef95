"""A named log of messages and the message queues that read it."""

from collections.abc import Sequence
from threading import Condition, Lock
from typing import Literal, NamedTuple

from peerbus.broker.limits import Limits
from peerbus.broker.log import Log
from peerbus.broker.low_water import LowWaterMark
from peerbus.broker.memory import Memory
from peerbus.broker.message_ids import MessageIds
from peerbus.broker.message_queue import MessageQueue
from peerbus.errors import TooLarge, TopicFull
from peerbus.views import TopicView

Overflow = Literal["reject", "drop_oldest"]
From = Literal["latest", "earliest"] | int
"""Where a message queue begins: with the next message, the oldest retained, or at an offset."""


class TopicOptions(NamedTuple):
    """What a topic was created with."""

    max_messages: int
    overflow: Overflow


class Topic:
    """An append-only log, shared by all its message queues, which hold positions in it.

    Publishing costs the same for any number of queues: it touches none of them.
    """

    __slots__ = (
        "_arrivals",
        "_history",
        "_memory",
        "dropped",
        "log",
        "message_ids",
        "name",
        "options",
        "queues",
        "readers",
    )

    def __init__(self, name: str, options: TopicOptions, limits: Limits, memory: Memory) -> None:
        self.name = name
        self.options = options
        self.log = Log()
        self.readers = LowWaterMark()
        self.queues: dict[str, MessageQueue] = {}
        self.message_ids = MessageIds(limits.message_ids, limits.message_id_seconds)
        self.dropped = 0
        """Messages dropped by the overflow policy that some queue had yet to pull."""
        self._memory = memory
        self._history = min(limits.history, options.max_messages)
        self._arrivals: Condition | None = None

    @property
    def unread(self) -> int:
        """Messages that at least one queue has yet to pull."""
        return self.log.end - max(self.readers.lowest(self.log.end), self.log.start)

    def append(self, values: Sequence[bytes], size: int) -> int:
        """Add `values`, counted as `size` bytes, all or none, and return the offset of the first.

        Raises `TopicFull` or `TooLarge` by the topic's overflow policy, and `MemoryFull`.
        """
        excess = self.unread + len(values) - self.options.max_messages if self.queues else 0
        if excess > 0 and self.options.overflow == "reject":
            raise self._overflow(len(values))
        self._memory.reserve(size)
        offset = self.log.append(values, size)
        if excess > 0:
            self.dropped += excess
            self._memory.free(self.log, self.log.end - self.options.max_messages)
        self.free_pulled()
        self.wake()
        return offset

    def position(self, start: From) -> int:
        """The offset that `start` means now; one that is not given yet means the next message."""
        if start == "latest":
            return self.log.end
        if start == "earliest":
            return self.log.start
        return min(start, self.log.end)

    def wait(self, lock: Lock, seconds: float) -> None:
        """Let go of the broker's `lock` until `wake`, at most for `seconds`."""
        if self._arrivals is None:
            self._arrivals = Condition(lock)
        self._arrivals.wait(seconds)

    def wake(self) -> None:
        """Wake the pulls that wait for this topic, to look again."""
        if self._arrivals is not None:
            self._arrivals.notify_all()

    def view(self) -> TopicView:
        """The topic as it stands."""
        return TopicView(
            self.name, *self.options, self.log.start, self.log.end, self.unread, self.dropped, len(self.queues)
        )

    def free_pulled(self) -> None:
        """Free what every queue has pulled, but for the history."""
        pulled = self.readers.lowest(self.log.end)
        self._memory.free(self.log, pulled - self._history)
        self._memory.keep_history(self.log, pulled)

    def _overflow(self, count: int) -> TopicFull | TooLarge:
        limit = self.options.max_messages
        if count > limit:
            return TooLarge(
                f"A batch of {count} messages never fits into topic '{self.name}', which holds at most {limit} "
                "waiting for subscribers. Publish smaller batches."
            )
        return TopicFull(
            f"Topic '{self.name}' holds {self.unread} messages waiting for subscribers, of at most {limit}. "
            "Publish again when the slowest subscriber has pulled."
        )
