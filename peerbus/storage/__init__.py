"""The broker's state on disk: one SQLite database in a folder."""

from peerbus.storage.failures import StorageError
from peerbus.storage.storage import Storage

__all__ = ["Storage", "StorageError"]
