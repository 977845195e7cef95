"""The indexing server: the broker behind the door, its clock and its notices."""

from peerbus.index.server import IndexingServer, IndexOptions

__all__ = ["IndexOptions", "IndexingServer"]
