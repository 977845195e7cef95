"""What all topics share."""

from typing import NamedTuple

from msgspec import Struct

from peerbus.broker.change_listener import ChangeListener
from peerbus.broker.limits import Limits
from peerbus.broker.long_polls import LongPolls
from peerbus.broker.memory_budget import MemoryBudget


class Totals(Struct):
    """What was done since the server started, and how many messages are handed over and not acknowledged now."""

    published: int = 0
    pulled: int = 0
    missed: int = 0
    acknowledged: int = 0
    redelivered: int = 0
    refused: int = 0
    expired_peers: int = 0
    discarded: int = 0
    unacknowledged: int = 0


class Context(NamedTuple):
    """Given to each topic, and through it to its message queues."""

    limits: Limits
    memory: MemoryBudget
    waiting: LongPolls
    journal: ChangeListener
    totals: Totals
