"""The Python client."""

from peerbus.client.client import Client
from peerbus.client.messages import Message, Pulled
from peerbus.client.missed import Missed, MissedWarning
from peerbus.wire.signature import verify_signature

__all__ = ["Client", "Message", "Missed", "MissedWarning", "Pulled", "verify_signature"]
