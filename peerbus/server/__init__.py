"""The indexing server: the broker behind the door, its clock and its notices."""

from peerbus.server.server import IndexingServer, ServerOptions

__all__ = ["IndexingServer", "ServerOptions"]
