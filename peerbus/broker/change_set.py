"""What changed and is not on disk yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from peerbus.broker.change_listener import ChangeListener
from peerbus.broker.records import (
    Changes,
    DeliveryRecord,
    MessageIdRecord,
    PeerRecord,
    QueueRecord,
    Segment,
    TopicRecord,
)
from peerbus.errors import MemoryFull, StorageFull

if TYPE_CHECKING:
    from peerbus.broker.peers import Peer
    from peerbus.broker.queue import MessageQueue
    from peerbus.broker.topic import Topic


class ChangeSet(ChangeListener):
    """Notes what changes, to be taken as records that one transaction writes.

    Only what a thing is at the end counts: a cursor that moved a hundred times since the last taking is one record.
    What belongs to a thing that is gone at the end may be noted all the same: it goes with it.
    """

    __slots__ = (
        "_ahead",
        "_being_written",
        "_clock",
        "_deliveries",
        "_max_ahead",
        "_message_ids",
        "_on_change",
        "_peers",
        "_queues",
        "_segments",
        "_topics",
        "_unmeasured",
        "_wall_clock",
        "changed_in",
        "room",
        "stored",
        "taking",
    )

    def __init__(
        self,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        on_change: Callable[[], None],
        max_ahead: int,
    ) -> None:
        """`clock` is the broker's, and `wall_clock` the one that goes on while no broker runs.

        `on_change` is called under the lock, at the first change after each taking, and where there is no room: there
        may be some by now. Messages of `max_ahead` bytes wait to be written at most, or one publish.
        """
        super().__init__()
        self._clock = clock
        self._wall_clock = wall_clock
        self._on_change = on_change
        self._max_ahead = max_ahead
        self._ahead = 0
        """Bytes appended since the last taking."""
        self._being_written = 0
        """Bytes in the last taking, until it is written."""
        self._unmeasured = 0
        """Bytes taken since the disk was measured."""
        self.taking = 1
        """The number of the taking to come."""
        self.changed_in = 0
        """The number of the taking that the last change is in."""
        self.room = 0
        """Bytes that may be on disk beside what is."""
        self.stored = 0
        self._forget()

    def take(self) -> Changes:
        """What changed since the last taking, as it stands."""
        wall = self._wall()
        changes = Changes(
            peers={peer_id: _peer_record(peer) if peer else None for peer_id, peer in self._peers.items()},
            topics={number: _topic_record(topic) if topic else None for number, topic in self._topics.items()},
            queues={number: _queue_record(queue) if queue else None for number, queue in self._queues.items()},
            deliveries={
                (queue.number, offset): _delivery_record(queue, offset, wall)
                for queue, offsets in self._deliveries.items()
                for offset in offsets
            },
            segments=self._segments,
            message_ids=self._message_ids,
        )
        self.taking += 1
        self._being_written = self._ahead
        self._unmeasured += self._ahead
        self._ahead = 0
        self._forget()
        return changes

    def measured(self, stored: int, room: int) -> None:
        """All that was taken is on disk, which now has `stored` bytes taken up and `room` for more."""
        self.stored, self.room, self._unmeasured = stored, room, 0

    def written(self) -> None:
        """The last taking is on disk."""
        self._being_written = 0

    @property
    def stored_bytes(self) -> int:
        """What is taken up on disk."""
        return self.stored

    @property
    def room_left(self) -> int:
        """Bytes that may be on disk beside all that was noted."""
        return self.room - self._unmeasured - self._ahead

    def check_room(self, size: int) -> None:
        """Raise `StorageFull` or `MemoryFull` where there is no room for something new of `size` bytes."""
        ahead = self._being_written + self._ahead
        if size >= self.room_left:
            self._on_change()
            raise StorageFull(
                "There is no room left on the server's disk. Messages can be pulled and acknowledged, "
                "and published again when there is room."
            )
        if ahead and ahead + size > self._max_ahead:
            raise MemoryFull(
                f"{ahead} bytes of messages wait to be written to the server's disk, which is slower than they come. "
                "Publish again when they are written."
            )

    def appended(self, topic: Topic, values: Sequence[bytes], size: int, now: float, /) -> None:
        """Messages, counted as `size` bytes, were appended to the end of a topic, and its record changed."""
        self._ahead += size
        self._segments.append(Segment(topic.number, topic.end - len(values), values, now + self._wall()))
        self.topic_changed(topic)

    def message_id_added(
        self, topic: Topic, serial: int, message_id: str, offset: int, count: int, now: float, /
    ) -> None:
        """A topic remembers another message id."""
        self._message_ids.append(MessageIdRecord(topic.number, serial, message_id, offset, count, now + self._wall()))
        self.topic_changed(topic)

    def topic_changed(self, topic: Topic) -> None:
        """A topic was created, or its record changed."""
        self._topics[topic.number] = topic
        self._note()

    def topic_removed(self, topic: Topic) -> None:
        """A topic is gone, and its queues with it."""
        self._topics[topic.number] = None
        self._note()

    def peer_changed(self, peer: Peer) -> None:
        """A peer registered, or its record changed."""
        self._peers[peer.peer_id] = peer
        self._note()

    def peer_removed(self, peer: Peer) -> None:
        """A peer is gone."""
        self._peers[peer.peer_id] = None
        self._note()

    def queue_changed(self, queue: MessageQueue) -> None:
        """A queue was made, or its record changed."""
        self._queues[queue.number] = queue
        self._note()

    def queue_removed(self, queue: MessageQueue) -> None:
        """A queue is gone."""
        self._queues[queue.number] = None
        self._note()

    def deliveries_changed(self, queue: MessageQueue, offsets: Iterable[int]) -> None:
        """Messages of a queue were handed over, rejected, acknowledged or dropped."""
        self._deliveries.setdefault(queue, set()).update(offsets)
        self._note()

    def _note(self) -> None:
        if self.changed_in != self.taking:
            self.changed_in = self.taking
            self._on_change()

    def _forget(self) -> None:
        self._peers: dict[str, Peer | None] = {}
        self._topics: dict[int, Topic | None] = {}
        self._queues: dict[int, MessageQueue | None] = {}
        self._deliveries: dict[MessageQueue, set[int]] = {}
        self._segments: list[Segment] = []
        self._message_ids: list[MessageIdRecord] = []

    def _wall(self) -> float:
        """What the wall clock is ahead of the broker's."""
        return self._wall_clock() - self._clock()


def _peer_record(peer: Peer) -> PeerRecord:
    return PeerRecord(peer.peer_id, peer.address, peer.lease_seconds, list(peer.deleted_topics), peer.token_hash)


def _topic_record(topic: Topic) -> TopicRecord:
    return TopicRecord(
        topic.number,
        topic.name,
        *topic.options,
        topic.start,
        topic.end,
        topic.dropped,
        topic.message_ids.first,
        topic.creator,
    )


def _queue_record(queue: MessageQueue) -> QueueRecord:
    return QueueRecord(
        queue.number,
        queue.topic.number,
        queue.group,
        *queue.options,
        queue.cursor,
        queue.started,
        queue.dropped,
        list(queue.members),
    )


def _delivery_record(queue: MessageQueue, offset: int, wall: float) -> DeliveryRecord | None:
    delivery = queue.in_flight.deliveries.get(offset)
    deadline = queue.in_flight.deadline(offset)
    return delivery and DeliveryRecord(
        queue.number,
        offset,
        delivery.member,
        delivery.attempt,
        delivery.problem,
        None if deadline is None else deadline + wall,
    )
