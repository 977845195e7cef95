"""What the broker tells of its changes, to be kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peerbus.broker.peers import Peer
    from peerbus.broker.queue import MessageQueue
    from peerbus.broker.topic import Topic


class ChangeListener:
    """Is told of each change of the broker's state, under the broker's lock; what is to be kept is read later.

    This one keeps everything in memory alone: what is appended is committed at once. The others, `ChangeSet`, let it be
    delivered only when it is on disk.
    """

    __slots__ = ("last_number",)

    def __init__(self) -> None:
        self.last_number = 0

    def new_number(self) -> int:
        """What a topic or a queue is known by, never given again."""
        self.last_number += 1
        return self.last_number

    @property
    def stored_bytes(self) -> int:
        """What is taken up on disk."""
        return 0

    def check_room(self, size: int) -> None:
        """Raise `StorageFull` or `MemoryFull` where there is no room for something new of `size` bytes."""

    def appended(self, topic: Topic, _values: Sequence[bytes], _size: int, _now: float, /) -> None:
        """Messages, counted as `size` bytes, were appended to the end of a topic, and its record changed."""
        topic.commit(topic.end)

    def message_id_added(
        self, _topic: Topic, _serial: int, _message_id: str, _offset: int, _count: int, _now: float, /
    ) -> None:
        """A topic remembers another message id."""

    def topic_changed(self, topic: Topic) -> None:
        """A topic was created, or its record changed."""

    def topic_removed(self, topic: Topic) -> None:
        """A topic is gone, and its queues with it."""

    def peer_changed(self, peer: Peer) -> None:
        """A peer registered, or its record changed."""

    def peer_removed(self, peer: Peer) -> None:
        """A peer is gone."""

    def queue_changed(self, queue: MessageQueue) -> None:
        """A queue was made, or its record changed."""

    def queue_removed(self, queue: MessageQueue) -> None:
        """A queue is gone."""

    def deliveries_changed(self, queue: MessageQueue, offsets: Iterable[int]) -> None:
        """Messages of a queue were handed over, rejected, acknowledged or dropped."""
