"""The state that a log of changes leaves behind."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TypeVar

from peerbus.broker.records import (
    Changes,
    Contents,
    DeliveryRecord,
    MessageIdRecord,
    PeerRecord,
    QueueRecord,
    ScheduledRecord,
    Segment,
    TopicRecord,
)

CHUNK_BYTES = 1 << 20

Key = TypeVar("Key")
Record = TypeVar("Record")


class Fold:
    """Applies changes in the order of a log: every record replaces the one before."""

    def __init__(self) -> None:
        self.messages = 0
        """How many messages were applied."""
        self._peers: dict[str, PeerRecord] = {}
        self._topics: dict[int, TopicRecord] = {}
        self._queues: dict[int, QueueRecord] = {}
        self._deliveries: dict[int, dict[int, DeliveryRecord]] = {}
        """By queue and offset."""
        self._segments: dict[int, list[Segment]] = {}
        self._message_ids: dict[int, dict[int, MessageIdRecord]] = {}
        """By topic and serial."""
        self._scheduled: dict[int, dict[int, ScheduledRecord]] = {}
        """By topic and number."""
        self._last_scheduled = 0
        self._clock_set = 0.0

    def apply(self, changes: Changes) -> None:
        """Apply one batch."""
        _put(self._peers, changes.peers)
        for number, topic in changes.topics.items():
            if topic is None:
                for table in (self._topics, self._segments, self._message_ids, self._scheduled):
                    table.pop(number, None)
            else:
                self._topics[number] = topic
        for number, queue in changes.queues.items():
            if queue is None:
                self._queues.pop(number, None)
                self._deliveries.pop(number, None)
            else:
                self._queues[number] = queue
        for (number, offset), delivery in changes.deliveries.items():
            _put(self._deliveries.setdefault(number, {}), {offset: delivery})
        for segment in changes.segments:
            self._segments.setdefault(segment.topic, []).append(segment)
            self.messages += len(segment.values)
        for seen in changes.message_ids:
            self._message_ids.setdefault(seen.topic, {})[seen.serial] = seen
        for (topic_number, entry), scheduled in changes.scheduled.items():
            _put(self._scheduled.setdefault(topic_number, {}), {entry: scheduled})
        self._last_scheduled = max(self._last_scheduled, changes.last_scheduled or 0)
        if changes.clock_set is not None:
            self._clock_set = changes.clock_set

    def contents(self, epoch: str) -> Contents:
        """Everything that is kept now."""
        return Contents(
            epoch=epoch,
            peers=list(self._peers.values()),
            topics=list(self._topics.values()),
            queues=[queue for queue in self._queues.values() if queue.topic in self._topics],
            deliveries=[
                delivery
                for number, deliveries in self._deliveries.items()
                if number in self._queues
                for delivery in deliveries.values()
            ],
            segments=list(chain.from_iterable(map(self._retained, self._topics.values()))),
            message_ids=[
                seen
                for topic in self._topics.values()
                for serial, seen in sorted(self._message_ids.get(topic.number, {}).items())
                if serial >= topic.first_id
            ],
            scheduled=[scheduled for number in self._topics for scheduled in self._scheduled.get(number, {}).values()],
            last_scheduled=self._last_scheduled,
            clock_set=self._clock_set,
        )

    def _retained(self, topic: TopicRecord) -> Iterator[Segment]:
        for segment in self._segments.get(topic.number, ()):
            retained = _from(segment, topic.start)
            if retained.values:
                yield retained


def changes_of(contents: Contents) -> Iterator[Changes]:
    """Contents as changes to nothing, some thousand records or about a megabyte of messages in each."""
    yield Changes(last_scheduled=contents.last_scheduled, clock_set=contents.clock_set)
    for peers in batched(contents.peers):
        yield Changes(peers={peer.peer_id: peer for peer in peers})
    for topics in batched(contents.topics):
        yield Changes(topics={topic.number: topic for topic in topics})
    for queues in batched(contents.queues):
        yield Changes(queues={queue.number: queue for queue in queues})
    for deliveries in batched(contents.deliveries):
        yield Changes(deliveries={(each.queue, each.offset): each for each in deliveries})
    for message_ids in batched(contents.message_ids):
        yield Changes(message_ids=message_ids)
    for scheduled in batched(contents.scheduled, _size):
        yield Changes(scheduled={(each.topic, each.number): each for each in scheduled})
    for segments in batched(contents.segments, _size):
        yield Changes(segments=segments)


def batched(records: Iterable[Record], size: Callable[[Record], int] = lambda _: 1000) -> Iterator[list[Record]]:
    """Records in lists of about a megabyte, where each has a `size` in bytes."""
    some: list[Record] = []
    left = CHUNK_BYTES
    for record in records:
        some.append(record)
        left -= size(record)
        if left <= 0:
            yield some
            some, left = [], CHUNK_BYTES
    if some:
        yield some


def _size(record: Segment | ScheduledRecord) -> int:
    return 100 + sum(map(len, record.values))


def _put(table: dict[Key, Record], records: Mapping[Key, Record | None]) -> None:
    for key, record in records.items():
        if record is None:
            table.pop(key, None)
        else:
            table[key] = record


def _from(segment: Segment, offset: int) -> Segment:
    """The part of a segment from an offset on."""
    gone = offset - segment.offset
    if gone <= 0:
        return segment
    return Segment(segment.topic, offset, segment.values[gone:], segment.published_at, segment.publisher)
