"""What the broker's state is made of, as plain records: what is written of it, and what is loaded.

Topics and queues are known by numbers that are never given again: a topic deleted and created anew is another
number. Times are seconds of the wall clock, offsets those of a topic's log.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, field


class PeerRecord(Struct, frozen=True, gc=False):
    """A registered peer; `deleted_topics` are those it was subscribed to and is still to be told of.

    Of its token only the hash is kept.
    """

    peer_id: str
    address: str | None
    lease_seconds: float | None
    deleted_topics: Sequence[str]
    token_hash: bytes | None = None


class TopicRecord(Struct, frozen=True, gc=False):
    """A topic, whose messages from `start` up to `end` are retained, and message ids from serial `first_id` on."""

    number: int
    name: str
    max_messages: int
    overflow: Literal["reject", "drop_oldest"]
    max_age: float | None
    start: int
    end: int
    dropped: int
    first_id: int
    creator: str | None = None


class QueueRecord(Struct, frozen=True, gc=False):
    """A message queue on the topic of number `topic`, with its options, position and members."""

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


class DeliveryRecord(Struct, frozen=True, gc=False):
    """A message handed over and not acknowledged; `due` is None where it is to be handed over again now."""

    queue: int
    offset: int
    member: str
    attempt: int
    problem: str
    due: float | None


class Segment(Struct, frozen=True, gc=False):
    """Consecutive messages of a topic that were published at one time, from `offset` on."""

    topic: int
    offset: int
    values: Sequence[bytes]
    published_at: float


class MessageIdRecord(Struct, frozen=True, gc=False):
    """The `count` messages from `offset` on were published with `message_id`; serials of a topic only go up."""

    topic: int
    serial: int
    message_id: str
    offset: int
    count: int
    seen_at: float


class Changes(Struct):
    """What one transaction writes: records as they now stand, None for what is gone, and what is new.

    A topic's record frees its segments that end at or before `start`, and its message ids before `first_id`.
    A topic gone takes its segments and message ids along, a queue gone its deliveries.
    """

    peers: dict[str, PeerRecord | None] = field(default_factory=dict)
    topics: dict[int, TopicRecord | None] = field(default_factory=dict)
    queues: dict[int, QueueRecord | None] = field(default_factory=dict)
    deliveries: dict[tuple[int, int], DeliveryRecord | None] = field(default_factory=dict)
    """By the number of the queue and the offset."""
    segments: list[Segment] = field(default_factory=list)
    """Those of a topic in the order of their offsets, without gaps."""
    message_ids: list[MessageIdRecord] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.segments or self.topics or self.queues or self.deliveries or self.peers or self.message_ids)


class Contents(Struct):
    """All that is kept, as loaded.

    The segments of each topic are in the order of their offsets, and together just what it retains.
    """

    epoch: str
    peers: list[PeerRecord]
    topics: list[TopicRecord]
    queues: list[QueueRecord]
    deliveries: list[DeliveryRecord]
    segments: list[Segment]
    message_ids: list[MessageIdRecord]
