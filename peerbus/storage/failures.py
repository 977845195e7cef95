"""What goes wrong on a disk, in words."""

import sqlite3
from pathlib import Path

from peerbus.errors import StartError, StorageFull

NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
"""What SQLite calls a full disk, and a quota or a file size limit that is reached.

A disk that is broken shows when it is read or flushed, not when a file's buffers are written.
"""
UNSOUND = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""What SQLite calls a file that is damaged, that is none of its own, or that has not the tables it should."""


class StorageError(StartError):
    """The state cannot be kept; one sentence says what is wrong, where, and what to do."""


def unusable(folder: Path, problem: str) -> StorageError:
    """Data cannot be kept in `folder`."""
    return StorageError(
        f"Cannot keep data in {folder} ({problem}): it has to be a folder with room that can be written to and that "
        "no other program uses; it is created where its parent exists."
    )


def unsound(database: Path, problem: str) -> StorageError:
    """`database` is not what this program wrote, or no longer whole."""
    return StorageError(
        f"Cannot read {database} ({problem}): restore the folder from a copy, or move it away to begin without data."
    )


def unopened(database: Path, error: sqlite3.Error) -> StorageError:
    """`database` could not be opened or loaded."""
    if _code(error) & 0xFF in UNSOUND:
        return unsound(database, _said(error))
    return unusable(database.parent, _said(error))


def unwritten(database: Path, error: sqlite3.Error) -> StorageError | StorageFull:
    """Nothing of a transaction was written to `database`."""
    if _code(error) in NO_ROOM:
        return StorageFull(f"Cannot write {database} ({_said(error)}).")
    return StorageError(f"Cannot write {database} ({_said(error)}): look after the disk it is on.")


def _code(error: sqlite3.Error) -> int:
    # Errors of Python's own, such as text that is not UTF-8, have no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)


def _said(error: sqlite3.Error) -> str:
    return f"{error}, {getattr(error, 'sqlite_errorname', type(error).__name__)}"
