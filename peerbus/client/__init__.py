"""The Python client."""

from peerbus.client.client import Client
from peerbus.client.messages import Message, Pulled
from peerbus.client.missed import Missed, MissedWarning

__all__ = ["Client", "Message", "Missed", "MissedWarning", "Pulled"]
