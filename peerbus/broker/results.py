"""What the broker's calls answer: plain values, detached from its state."""

from collections.abc import Sequence

from msgspec import Struct


class Registered(Struct):
    """`created` is false when the peer was registered already; `token_is_new` says that it has a token from now on."""

    created: bool
    epoch: str
    token_is_new: bool


class Published(Struct):
    """`offset` is that of the first message; `duplicate` says that it was published before, by its message id."""

    offset: int
    count: int
    duplicate: bool


class Subscribed(Struct):
    """`next_offset` is the offset of the next new message; `members` peers share the message queue."""

    created: bool
    next_offset: int
    members: int


class Pulled(Struct):
    """What one pull took.

    `attempts` is None where messages are acknowledged by being pulled. `next_offset` is the offset of the next
    new message, and before `position` every message is acknowledged. `missed` messages were lost before this
    peer pulled them, `remaining` wait to be pulled after these, `unacknowledged` are handed over, and `earlier`
    are retained from before the subscription, if nothing was published since. What did not arrive is given back
    by the `generation` of the message queue. `closing`: the broker ends.
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
    generation: int
    closing: bool = False


class Settled(Struct):
    """How many messages were acknowledged or rejected, and the offsets that were not the peer's to settle (any more).

    Before `position` every message is acknowledged. `explicit` is whether the subscription acknowledges
    explicitly at all.
    """

    count: int
    stale: list[int]
    position: int
    explicit: bool


class Deleted(Struct):
    """`addresses` are those of the subscribed peers; `discarded` counts messages that one of them had not pulled."""

    addresses: dict[str, str]
    discarded: int


class Peeked(Struct):
    """The last messages of a topic, from the offset `first` on; of those retained, `start` is the first."""

    first: int
    values: Sequence[bytes]
    start: int


class Subscribers(Struct):
    """The ids of a topic's subscribers, and the addresses of those that have one."""

    peers: list[str]
    addresses: dict[str, str]
