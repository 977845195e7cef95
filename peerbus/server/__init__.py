"""The indexing server: the broker over HTTP, its housekeeping and its notices."""

from peerbus.server.options import ServerOptions
from peerbus.server.server import IndexingServer

__all__ = ["IndexingServer", "ServerOptions"]
