"""The answers of the broker's calls: plain values, detached from its state."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct, field

from peerbus.errors import PeerbusError
from peerbus.wire.views import ScheduledView


class Backlog(NamedTuple):
    """How far a topic's slowest message queue is behind, or one queue: by `messages`, of `end` that were published."""

    messages: int
    end: int


class QueueFigures(NamedTuple):
    """Figures of a message queue; `pulled` and `missed` are totals since the server started.

    `oldest_unread` is the age in seconds of the oldest message that is not acknowledged, 0 if there is none.
    """

    topic: str
    queue: str
    unread: int
    in_flight: int
    pulled: int
    missed: int
    oldest_unread: float


class Registered(Struct):
    """`created` is false when the peer was registered already; `token_is_new`: it has a token from now on."""

    created: bool
    epoch: str
    token_is_new: bool


class Published(Struct):
    """`offset` is that of the first message; `duplicate`: its message id was published before.

    Messages that are published later have no offset yet; `scheduled` is the number by which they can be cancelled.
    """

    offset: int | None
    count: int
    duplicate: bool
    scheduled: int | None = None


class Cancelled(Struct):
    """How many messages were cancelled, and the numbers that were not scheduled."""

    count: int
    unknown: list[int]


class ScheduledPage(Struct):
    """Entries by due time, and the place after which the next page begins; None if there is none.

    A place is the due time, in milliseconds since 1970, and the number of an entry.
    """

    entries: list[ScheduledView]
    next: tuple[int, int] | None


class Subscribed(Struct):
    """`created`: the subscription is new; `begun`: the message queue is, too.

    `next_offset` is the offset of the next new message; `members` peers share the message queue, which has `unread`
    messages.
    """

    created: bool
    begun: bool
    next_offset: int
    members: int
    unread: int


class Details(NamedTuple):
    """The publisher of each message, if it named one, and the time at which it was published, in seconds since 1970."""

    publishers: list[str | None]
    published_at: list[float]


class Pulled(Struct, gc=False):
    """The messages of one pull; with `details` if they were asked for.

    `attempts` is None with automatic acknowledgement. `next_offset` is the offset of the next new message; every
    message before `position` is acknowledged. `missed` messages were lost before this pull, `remaining` can be pulled
    after it, `unacknowledged` are in flight, and `earlier` are retained from before the subscription, if nothing was
    published since. `queue` and `generation` are those of the message queue, for `Broker.give_back`. `closing`: the
    broker ends.
    """

    offsets: Sequence[int]
    values: Sequence[bytes]
    attempts: Sequence[int] | None
    next_offset: int
    position: int
    missed: int
    remaining: int
    unacknowledged: int
    earlier: int
    queue: str
    generation: int
    details: Details | None
    closing: bool = False


class Settled(Struct):
    """How many messages were acknowledged, rejected or extended, and the offsets of stale claims.

    Every message before `position` is acknowledged. `explicit`: whether the subscription acknowledges explicitly.
    """

    count: int
    stale: list[int]
    position: int
    explicit: bool


class Deleted(Struct):
    """The ids of the subscribers, and how many messages are discarded.

    Those are the messages that at least one subscriber had yet to acknowledge, and those scheduled.
    """

    peers: list[str]
    discarded: int


class Ended(Struct):
    """Messages discarded with the queues that ended, and how many subscriptions are left to end."""

    discarded: int
    left: int


class ExpiredQueue(Struct):
    """A message queue that ended because no member was there for `after` seconds, with its messages discarded."""

    topic: str
    queue: str
    discarded: int
    after: float


class DueResult(Struct):
    """The result of one slice of due work.

    `expired` has the peers that went away because their lease ran out, each with the messages discarded; `ended` the
    queues that expired. In `next_in` seconds the next slice is due: 0.0 when there is more to do now, infinity when
    nothing is due.
    """

    expired: dict[str, int]
    ended: list[ExpiredQueue]
    next_in: float


class Redriven(Struct):
    """How many dead letters were published again, and the offsets of the others.

    Those that are `failed` stay where they are, the first of them because of `error`; those that are `stale` are
    settled already, or not there; those that are `left` need another call.
    """

    count: int = 0
    stale: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    error: PeerbusError | None = None


class Peeked(Struct):
    """Messages of a topic, from the offset `first` on; `start` is the first offset retained.

    With `details` if they were asked for.
    """

    first: int
    values: Sequence[bytes]
    start: int
    details: Details | None
