"""The indexing server: the broker over HTTP, its housekeeping and its notices."""

from peerbus.server.server import IndexingServer, ServerOptions

__all__ = ["IndexingServer", "ServerOptions"]
