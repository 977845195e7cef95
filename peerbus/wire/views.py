"""What can be looked at: plain values, the same inside and on the wire."""

from msgspec import Struct


class TopicView(Struct, frozen=True):
    """A topic: `unread` messages are those that some subscriber has yet to pull, or to acknowledge.

    `dropped` counts those that were dropped, by overflow or age, while they were unread. Since the server started,
    `redelivered` were handed over again, `dead_lettered` went to a dead-letter topic, and `refused` publishes found
    no room.
    """

    topic: str
    max_messages: int
    overflow: str
    max_age: float | None
    first_offset: int
    next_offset: int
    unread: int
    dropped: int
    subscribers: int
    redelivered: int
    dead_lettered: int
    refused: int


class SubscriptionView(Struct, frozen=True):
    """A message queue on a topic: a peer's own, or one that the `members` of a `group` share.

    `queue` is its name among those of the topic, and `peers` are the first of its members. `next_offset` is the next
    new message; before `resume_from` all are acknowledged. `unread` messages are to be acknowledged yet, of which
    `unacknowledged` are handed over; `missed` were lost since the last pull.
    """

    topic: str
    queue: str
    group: str | None
    peers: list[str]
    members: int
    ack: str
    ack_deadline: float | None
    max_attempts: int | None
    dead_letter_topic: str | None
    next_offset: int
    resume_from: int
    unread: int
    unacknowledged: int
    missed: int


class PeerView(Struct, frozen=True):
    """A peer: its lease runs out in `expires_in` seconds, null without a lease."""

    peer_id: str
    address: str | None
    lease_seconds: float | None
    expires_in: float | None
    topics: list[str]


class Stats(Struct, frozen=True, kw_only=True):
    """Totals since the server started, what is held now, and the most that may be.

    `refused` counts the publishes that found no room: in their topic, in memory or on disk. `discarded` messages had
    not been pulled, or acknowledged, when their queue ended: with a topic, a subscription or a peer.
    """

    epoch: str
    uptime_seconds: float
    peers: int
    topics: int
    subscriptions: int
    memory_bytes: int
    freed_bytes: int
    stored_bytes: int
    waiting_pulls: int
    published: int
    pulled: int
    missed: int
    acknowledged: int
    unacknowledged: int
    redelivered: int
    dead_lettered: int
    refused: int
    expired_peers: int
    discarded: int
    max_peers: int
    max_topics: int
    max_subscriptions: int
    max_bytes: int


class Event(Struct, frozen=True):
    """Something a peer node noted at `time`, in seconds since 1970."""

    time: float
    event: str
    message: str
    topic: str | None = None
