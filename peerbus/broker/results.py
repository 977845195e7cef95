"""What the broker's calls answer: plain values, detached from its state."""

from collections.abc import Sequence

from msgspec import Struct


class Registered(Struct):
    """`created` is false when the peer was registered already."""

    created: bool
    epoch: str


class Published(Struct):
    """`offset` is that of the first message; `duplicate` says that it was published before, by its message id."""

    offset: int
    count: int
    duplicate: bool


class Subscribed(Struct):
    """`next_offset` is the offset of the next message to be pulled."""

    created: bool
    next_offset: int


class Pulled(Struct):
    """The values from `offset` on.

    `missed` messages were dropped before this peer pulled them, `remaining` wait in the queue after these,
    and `earlier` are retained from before the subscription, if nothing was published since. `closing` says
    that the broker ends.
    """

    offset: int
    values: Sequence[bytes]
    missed: int
    remaining: int
    earlier: int
    closing: bool


class Deleted(Struct):
    """`addresses` are those of the subscribed peers; `discarded` counts messages that one of them had not pulled."""

    addresses: dict[str, str]
    discarded: int


class Subscribers(Struct):
    """The ids of a topic's subscribers, and the addresses of those that have one."""

    peers: list[str]
    addresses: dict[str, str]
