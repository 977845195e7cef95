"""Peers, topics and message queues in memory, behind one lock; knows nothing of HTTP."""

from peerbus.broker.broker import Broker
from peerbus.broker.limits import Limits
from peerbus.broker.overview import Overview

__all__ = ["Broker", "Limits", "Overview"]
