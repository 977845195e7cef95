"""Views of the broker's state: plain values, the same inside and on the wire."""

from msgspec import Struct


class TopicView(Struct, frozen=True):
    """A topic. `unread` counts the messages that some subscriber has not pulled, or not acknowledged, yet.

    Up to `history` messages are kept for replay after all subscribers have pulled them. `dropped` counts those dropped
    while they were unread, for overflow or age. Since the server started, `redelivered` messages were delivered again,
    `dead_lettered` ones moved to a dead-letter topic, subscribers `missed` messages, queues that ended held `discarded`
    ones, and `refused` publishes found no room. The oldest unread message is `oldest_unread_seconds` old, null if there
    is none. `scheduled` messages are published later.
    """

    topic: str
    max_messages: int
    overflow: str
    max_age: float | None
    history: int
    first_offset: int
    next_offset: int
    unread: int
    dropped: int
    subscribers: int
    redelivered: int
    dead_lettered: int
    refused: int
    missed: int
    discarded: int
    oldest_unread_seconds: float | None
    scheduled: int

    @property
    def lost(self) -> int:
        """Messages lost to subscribers: dropped or missed, whichever are more, for most are both; and discarded."""
        return max(self.dropped, self.missed) + self.discarded


class ScheduledView(Struct, frozen=True):
    """Messages that are published together `at` a time, in seconds since 1970: a `count` of them.

    `bytes` is the size of their values. `peer_id` published them, or null. `problem` says why they are not published
    although they are due; null if they are not, or if they wait for others that are due before them.
    """

    id: int
    at: float
    count: int
    bytes: int
    peer_id: str | None
    message_id: str | None
    problem: str | None


class PushView(Struct, frozen=True):
    """The messages that `peer_id` gets are posted to `url`, which is shown without its query.

    If the last push failed, `problem` says why, and the next try is in `tries_in` seconds.
    """

    peer_id: str
    url: str
    problem: str | None
    tries_in: float | None


class SubscriptionView(Struct, frozen=True):
    """A message queue of a topic: a peer's own, or one that the `members` of a `group` share.

    `queue` is its name among those of the topic; `peers` lists the first of its members that are not away.
    `next_offset` is the offset of the next new message; all messages before `resume_from` are acknowledged. `unread`
    messages are not acknowledged yet; the oldest is `oldest_unread_seconds` old, and `unacknowledged` of them are in
    flight. `missed` messages were lost since the last pull. The last call of a member about it was `idle_seconds` ago.
    Without members it stands for `expires_after` seconds, null for ever, and ends in `expires_in` seconds; null while
    it has members. `push_to` has the push targets of the members that `peers` lists, and that of a peer that is away.
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
    oldest_unread_seconds: float | None
    idle_seconds: float
    expires_after: float | None
    expires_in: float | None
    push_to: list[PushView] = []


class InFlightView(Struct, frozen=True):
    """A message in flight: delivered to the peer `holder`, and not settled.

    `attempt` counts its deliveries; the last one was at `since`, null if an earlier release made it. `due` is the time
    at which it is redelivered; null if it waits for that, with the last `holder`. A message that waits for its first
    delivery, because a later one was redriven, has attempt 0 and no holder. Times are seconds since 1970.
    """

    offset: int
    holder: str | None
    attempt: int
    since: float | None
    due: float | None


class PeerView(Struct, frozen=True):
    """A peer that is not away. Its lease expires in `expires_in` seconds; null without a lease."""

    peer_id: str
    address: str | None
    lease_seconds: float | None
    expires_in: float | None
    topics: list[str]


class Stats(Struct, frozen=True, kw_only=True):
    """Totals since the server started, current figures, and limits.

    `overdue` messages were not acknowledged before their deadline; each counts once for each deadline. `refused`
    counts the publishes that found no room: in their topic, in memory or on disk. `discarded` messages were
    not pulled, or not acknowledged, when their queue ended: with its topic, subscription or peer, or because it
    expired, as `expired_queues` did; or they were still to be published when their topic was deleted. `scheduled`
    messages are published later. `forgotten_ids` message ids were forgotten before their time, because memory was full.
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
    overdue: int
    redelivered: int
    dead_lettered: int
    refused: int
    expired_peers: int
    expired_queues: int
    discarded: int
    forgotten_ids: int
    max_peers: int
    max_topics: int
    max_subscriptions: int
    max_bytes: int
    scheduled: int
    scheduled_waiting: int
    max_scheduled: int

    @property
    def lost(self) -> int:
        """Messages lost to subscribers: missed by them, or discarded with their queues."""
        return self.missed + self.discarded


class Event(Struct, frozen=True):
    """Something that happened to a peer node at `time`, in seconds since 1970."""

    time: float
    event: str
    message: str
    topic: str | None = None
