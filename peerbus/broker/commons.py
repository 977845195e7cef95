"""What all topics share."""

from typing import NamedTuple

from peerbus.broker.journal import Journal
from peerbus.broker.limits import Limits
from peerbus.broker.memory import Memory
from peerbus.broker.totals import Totals
from peerbus.broker.waiting import Waiting


class Commons(NamedTuple):
    """Given to each topic, and through it to its message queues."""

    limits: Limits
    memory: Memory
    waiting: Waiting
    journal: Journal
    totals: Totals
