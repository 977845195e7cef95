"""The Python client."""

from peerbus.client.client import Client
from peerbus.client.messages import Message, Pulled

__all__ = ["Client", "Message", "Pulled"]
