"""Objects that all topics and message queues share."""

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import Struct

from peerbus.broker.change_listener import ChangeListener
from peerbus.broker.dedup import DedupWindow
from peerbus.broker.limits import Limits
from peerbus.broker.memory_budget import MemoryBudget
from peerbus.broker.wall_clock import WallClock
from peerbus.standstill import Standstill


class Totals(Struct):
    """Counts since the server started; `unacknowledged` messages are in flight now."""

    published: int = 0
    pulled: int = 0
    missed: int = 0
    acknowledged: int = 0
    overdue: int = 0
    redelivered: int = 0
    refused: int = 0
    expired_peers: int = 0
    expired_queues: int = 0
    discarded: int = 0
    forgotten_ids: int = 0
    unacknowledged: int = 0


class Numbers:
    """Numbers for topics and queues, never given again."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        """A new number."""
        self.last += 1
        return self.last


class Context(NamedTuple):
    """Given to each topic, and through it to its message queues."""

    limits: Limits
    memory: MemoryBudget
    changes: ChangeListener
    totals: Totals
    numbers: Numbers
    wall_clock: WallClock
    standstill: Standstill
    no_ids: DedupWindow
    """That of each topic that never had a message id; never changed."""
    on_readable: Callable[[Any], None]
    """Called with a topic that may have something to pull now."""
