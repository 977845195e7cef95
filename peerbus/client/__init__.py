"""The Python client."""

from peerbus.client.client import Client, Message, Pulled

__all__ = ["Client", "Message", "Pulled"]
