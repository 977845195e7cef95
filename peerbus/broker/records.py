"""The broker's state as plain records, for a journal to write and load.

Topics and queues have numbers that are never given again: a topic deleted and created anew has another number. Offsets
are those of a topic's log. Times are seconds of the wall clock, less those by which it was set while brokers ran
(`clock_set`): so they go on steadily, whatever it says.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct, field

from peerbus.broker.push_target import PushOptions

DELETED: Literal["deleted"] = "deleted"
"""The overflow of a deleted topic whose subscribers have yet to lose their subscriptions."""

NOT_YET = -1
"""The offset of messages that are scheduled."""


class PeerRecord(Struct, frozen=True, gc=False):
    """A peer; its next pull of each of `deleted_topics`, which it was subscribed to, answers 410.

    Only the hash of its token is kept. `away_since` its lease ran out or it left, its own queues stand without it.
    """

    peer_id: str
    address: str | None
    lease_seconds: float | None
    deleted_topics: Sequence[str]
    token_hash: bytes | None = None
    away_since: float | None = None


class TopicRecord(Struct, frozen=True, gc=False):
    """A topic that retains the messages from `start` up to `end`, and message ids from serial `first_id` on.

    A topic whose `overflow` is `DELETED` exists no more. Its record and those of its queues stand until every member
    of a queue has the topic's name among its `deleted_topics`.
    """

    number: int
    name: str
    max_messages: int
    overflow: Literal["reject", "drop_oldest", "deleted"]
    max_age: float | None
    start: int
    end: int
    dropped: int
    first_id: int
    creator: str | None = None
    history: int | None = None


class QueueRecord(Struct, frozen=True, gc=False):
    """A message queue on the topic of number `topic`, with its options, position and members.

    A member made a call about it at `used_at`, as far as that was kept; the last member of a group left at `left_at`.
    """

    number: int
    topic: int
    group: str | None
    explicit: bool
    ack_deadline: float
    max_attempts: int | None
    dead_letter_topic: str | None
    cursor: int
    started: int
    dropped: int
    members: Sequence[str]
    expires_after: float | None = None
    used_at: float | None = None
    left_at: float | None = None
    push_targets: Mapping[str, PushOptions] = {}
    """By member."""


class DeliveryRecord(Struct, frozen=True, gc=False):
    """A message in flight, whose deadline is `due`; None when it waits for redelivery.

    It was handed over `first`, and last `since`; None if that was before version 3 of the schema. The deadline was
    `left` seconds ahead when this was written; None if that was before version 4. When `member` is no longer a member
    of the queue, the message waits for redelivery, whatever `due` says.
    """

    queue: int
    offset: int
    member: str
    attempt: int
    problem: str
    due: float | None
    first: float | None = None
    since: float | None = None
    left: float | None = None


class Segment(Struct, frozen=True, gc=False):
    """Consecutive messages of a topic, from `offset` on, that were published together; by a peer, if it was named."""

    topic: int
    offset: int
    values: Sequence[bytes]
    published_at: float
    publisher: str | None = None


class MessageIdRecord(Struct, frozen=True, gc=False):
    """The `count` messages from `offset` on were published with `message_id`; serials of a topic only go up.

    `scheduled` is the number of their `ScheduledRecord`, if they had one; the `offset` is `NOT_YET` until they are
    published.
    """

    topic: int
    serial: int
    message_id: str
    offset: int
    count: int
    seen_at: float
    scheduled: int | None = None


class ScheduledRecord(Struct, frozen=True, gc=False):
    """Messages of a topic that are published together when they are `due`; numbers are never given again.

    They were scheduled `ahead` seconds before; None if that was before version 4 of the schema.
    """

    topic: int
    number: int
    due: float
    publisher: str | None
    message_id: str | None
    values: Sequence[bytes]
    ahead: float | None = None


class Changes(Struct):
    """The content of one transaction: changed records (None for a deleted one), new segments and message ids.

    A topic's record frees its segments that end at or before `start`, and its message ids before `first_id`.
    Deleting a topic deletes its segments, message ids and scheduled messages; deleting a queue deletes its deliveries.
    """

    peers: dict[str, PeerRecord | None] = field(default_factory=dict)
    topics: dict[int, TopicRecord | None] = field(default_factory=dict)
    queues: dict[int, QueueRecord | None] = field(default_factory=dict)
    deliveries: dict[tuple[int, int], DeliveryRecord | None] = field(default_factory=dict)
    """By the number of the queue and the offset."""
    segments: list[Segment] = field(default_factory=list)
    """Those of each topic are in the order of their offsets, without gaps."""
    message_ids: list[MessageIdRecord] = field(default_factory=list)
    """The last one of a serial counts."""
    scheduled: dict[tuple[int, int], ScheduledRecord | None] = field(default_factory=dict)
    """By the number of the topic and their own."""
    last_scheduled: int | None = None
    """The last number given to scheduled messages, if one was given."""
    clock_set: float | None = None
    """The seconds by which the wall clock was set while brokers ran, if it was set."""

    def __bool__(self) -> bool:
        return bool(
            self.segments
            or self.topics
            or self.queues
            or self.deliveries
            or self.peers
            or self.message_ids
            or self.scheduled
            or self.last_scheduled
            or self.clock_set is not None
        )


class Contents(Struct):
    """Everything kept, as loaded.

    The segments of each topic are in the order of their offsets, and hold exactly the messages it retains.
    """

    epoch: str
    peers: list[PeerRecord]
    topics: list[TopicRecord]
    queues: list[QueueRecord]
    deliveries: list[DeliveryRecord]
    segments: list[Segment]
    message_ids: list[MessageIdRecord]
    scheduled: list[ScheduledRecord] = field(default_factory=list)
    last_scheduled: int = 0
    """The last number given to scheduled messages."""
    clock_set: float = 0.0
    """The seconds by which the wall clock was set while brokers ran: ahead if positive."""
