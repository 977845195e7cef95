"""What can be looked at: plain values, the same inside and on the wire."""

from msgspec import Struct


class TopicView(Struct, frozen=True):
    """A topic: `unread` messages are those that some subscriber has yet to pull, or to acknowledge.

    `dropped` counts those that were dropped, by overflow or age, while they were unread.
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


class PeerView(Struct, frozen=True):
    """A peer: its lease runs out in `expires_in` seconds, null without a lease."""

    peer_id: str
    address: str | None
    lease_seconds: float | None
    expires_in: float | None
    topics: list[str]


class Stats(Struct, frozen=True, kw_only=True):
    """Totals since the server started, and what is held now."""

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
    expired_peers: int


class Event(Struct, frozen=True):
    """Something a peer node noted at `time`, in seconds since 1970."""

    time: float
    event: str
    message: str
    topic: str | None = None
