"""The database file: created whole or not at all, checked before it is used."""

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from peerbus.storage.failures import FolderNotReady, StorageError, unopened, unsound, unusable
from peerbus.storage.tables import SCHEMA, SCHEMA_VERSION, UPGRADES

APPLICATION_ID = int.from_bytes(b"pbus")
"""Distinguishes the database from those of other programs."""
WAL_BYTES = 64 << 20
"""Size to which the write-ahead log is truncated after a larger transaction."""


class DataFolder:
    """A folder locked until `close`, or until the process ends in any way."""

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
            is_folder = not isinstance(error, FileExistsError | NotADirectoryError)
            raise unusable(path, f"{error.filename}: {error.strerror}", is_folder=is_folder) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            if not isinstance(error, BlockingIOError):
                raise unusable(path, f"it cannot be locked: {error.strerror}") from None
            raise FolderNotReady(
                f"Another server keeps its data in {path}: stop that one first, or name another folder."
            ) from None

    @property
    def size(self) -> int:
        """Bytes of the database and its write-ahead log."""
        return _bytes(self.database) + _bytes(self.wal)

    @property
    def free(self) -> int:
        """Bytes by which the database may still grow after a checkpoint of the write-ahead log. Raises `OSError`."""
        room = os.statvfs(self.database.parent)
        return room.f_bavail * room.f_frsize - _bytes(self.wal)

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.close()


def _bytes(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def open_database(folder: DataFolder) -> sqlite3.Connection:
    """Open the database of `folder`, or create it, and check its structure and its foreign keys.

    Raises `StorageError`, and then has changed nothing.
    """
    path = folder.database
    try:
        if not path.exists():
            if folder.wal.exists():
                raise unsound(path, f"it is missing, and {folder.wal.name} is there")
            _create(path)
        with path.open("rb+"):  # SQLite would open it for reading only, and fail later
            pass
        _check(path)
        _upgrade(path)
        return _open(path)
    except OSError as error:
        raise unusable(path.parent, f"{error.filename}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise unopened(path, error) from None


def _open(path: Path) -> sqlite3.Connection:
    connection = _connect(path, "rw")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        # Without this, freeing a backlog writes every freed page once more, as zeros.
        connection.execute("PRAGMA secure_delete = OFF")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # The thread that opens the database is not the one that writes to it.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )


def _create(path: Path) -> None:
    """Create the database under another name, and rename it: so it exists whole or not at all."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(0o600)
    with closing(_connect(draft, "rw")) as connection:
        connection.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA_VERSION}; {SCHEMA}"
        )
        connection.execute("INSERT INTO meta (epoch) VALUES (?)", (uuid4().hex,))
        connection.execute("PRAGMA journal_mode = WAL")
    _flush(draft)
    draft.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _upgrade(path: Path) -> None:
    """Upgrade a sound database of an older schema, one transaction for each version."""
    with closing(_connect(path, "rw")) as connection:
        ((version,),) = connection.execute("PRAGMA user_version")
        for older in range(version, SCHEMA_VERSION):
            connection.executescript(f"BEGIN IMMEDIATE; {UPGRADES[older]}; PRAGMA user_version = {older + 1}; COMMIT")


def _check(path: Path) -> None:
    """Raise `StorageError` unless the database is ours and sound. It is opened read-only, and so never changed."""
    with closing(_connect(path, "ro")) as connection:
        ((application,),) = connection.execute("PRAGMA application_id")
        if application != APPLICATION_ID:
            raise unsound(path, "it is not a database of this program")
        ((version,),) = connection.execute("PRAGMA user_version")
        if version != SCHEMA_VERSION and version not in UPGRADES:
            raise StorageError(
                f"{path} has version {version} of the schema, and this program reads version {SCHEMA_VERSION}: "
                "start the release that wrote it, or name another folder."
            )
        for pragma in ("quick_check", "foreign_key_check"):
            for problem in connection.execute(f"PRAGMA {pragma}"):
                if problem != ("ok",):
                    raise unsound(path, ", ".join(map(str, problem)).replace("\n", " "))
