"""The indexing server: the broker behind the door, its clock and its notices."""

from peerbus.index.server import IndexingServer

__all__ = ["IndexingServer"]
