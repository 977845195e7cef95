"""What passes things on: a server and a transport that share the one thread of an event loop."""

from peerbus.loop.connection import Received
from peerbus.loop.loop import Loop
from peerbus.loop.server import MOST_GATHERED, LoopServer
from peerbus.loop.transport import TimedOut, Transport, Unreachable, host_of

__all__ = ["MOST_GATHERED", "Loop", "LoopServer", "Received", "TimedOut", "Transport", "Unreachable", "host_of"]
