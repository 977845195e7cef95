"""The folder that holds the data, for one server at a time."""

import fcntl
import os
from pathlib import Path

from peerbus.storage.failure import StorageError, unusable


class DataFolder:
    """A folder locked until `close`, or until the process ends, however that comes about."""

    def __init__(self, path: Path) -> None:
        """Create the folder where its parent exists, and lock it.

        A missing parent is not created: it may be a disk that is not mounted. Raises `StorageError`.
        """
        self.database = path / "peerbus.db"
        self.wal = path / "peerbus.db-wal"
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.fdopen(os.open(path / "peerbus.lock", os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise unusable(path, f"{error.filename}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            if not isinstance(error, BlockingIOError):
                raise unusable(path, f"it cannot be locked: {error.strerror}") from None
            raise StorageError(
                f"Another server keeps its data in {path}: stop that one first, or name another folder."
            ) from None

    @property
    def size(self) -> int:
        """Bytes that the database takes up."""
        return _bytes(self.database) + _bytes(self.wal)

    @property
    def free(self) -> int:
        """Bytes that the database may still grow by, when it has taken over what is in the write-ahead log.

        Raises `OSError`.
        """
        room = os.statvfs(self.database.parent)
        return room.f_bavail * room.f_frsize - _bytes(self.wal)

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.close()


def _bytes(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
