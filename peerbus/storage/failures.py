"""Failures of the disk and of the database, in words."""

import os
import sqlite3
from errno import EACCES, EDQUOT, EFBIG, EIO, ENOENT, ENOSPC, EPERM, EROFS
from pathlib import Path

from peerbus.errors import (
    InternalError,
    NotYet,
    PeerbusError,
    StartError,
    StorageDamaged,
    StorageFailed,
    StorageFull,
    StorageLocked,
)

LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
UNSOUND = {*DAMAGED, sqlite3.SQLITE_ERROR}
"""SQLite's codes for a damaged file, a file of another format, and missing tables."""
OF_THE_SYSTEM = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
"""SQLite's codes for errors of the system, which it does not pass on."""
TRIED_BYTES = 1 << 16
"""Bytes written to learn the error of the system: as many as the room below which publishes are refused."""

NO_ROOM = {ENOSPC, EDQUOT, EFBIG}
GONE = "The server's data folder is gone ({said}). Put it back where it was, or restart the server."
FORBIDDEN = "The server may not write to its data folder ({said}). Let its user own the folder and its files."
UNWRITABLE = {
    EIO: "The server's disk does not work ({said}). Look after the disk, and keep a copy of the data folder.",
    EROFS: "The server's disk is mounted read-only ({said}). Mount it for writing.",
    EACCES: FORBIDDEN,
    EPERM: FORBIDDEN,
    ENOENT: GONE,
}
"""Sentences for errors of the system."""
UNKNOWN = "The server's disk cannot be written to ({said}). Look after the disk and the data folder."
LOCKED_SENTENCE = (
    "Another program holds the server's database, such as one with an open transaction. End the transaction or the "
    "program; the server tries again by itself."
)
DAMAGED_SENTENCE = (
    "The server's database is damaged ({said}). Stop the server, and restore its data folder from a copy."
)
FAULT_SENTENCE = "The server cannot write its changes: a fault of the server; its log has the reason. Restart it."


class StorageError(StartError):
    """The state cannot be loaded; one sentence says what is wrong, where, and what to do."""


class FolderNotReady(StorageError, NotYet):
    """The folder cannot be used now: it is in use, not mounted, full, or may not be written to."""


def unusable(folder: Path, problem: str, *, is_folder: bool = True) -> StorageError:
    """The error for a folder that cannot hold the data; it may later, if it is one."""
    kind = FolderNotReady if is_folder else StorageError
    return kind(
        f"Cannot keep data in {folder} ({problem}): it has to be a folder with room that can be written to and that "
        "no other program uses; it is created where its parent exists."
    )


def unsound(database: Path, problem: str) -> StorageError:
    """The error for a database that is damaged, or not of this program."""
    return StorageError(
        f"Cannot read {database} ({problem}): restore the folder from a copy, or move it away to begin without data."
    )


def unopened(database: Path, error: sqlite3.Error) -> StorageError:
    """The error for a database that cannot be opened or loaded."""
    code = _code(error) & 0xFF
    if code in UNSOUND:
        return unsound(database, _said(error))
    if code in LOCKED:
        return StorageError(
            f"Cannot open {database} ({_said(error)}): another program holds it, such as one with an open "
            "transaction. End the transaction or the program, and start again."
        )
    return unusable(database.parent, _said(error))


def failure(database: Path, error: sqlite3.Error | OSError) -> PeerbusError:
    """The error for calls while the database cannot be written, or looked at, because of `error`."""
    if isinstance(error, OSError):
        return _failure_of_system(error)
    code = _code(error) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return no_room("the disk is full")
    if code in LOCKED:
        return StorageLocked(LOCKED_SENTENCE)
    if code in DAMAGED:
        return StorageDamaged(DAMAGED_SENTENCE.format(said=error))
    if code in OF_THE_SYSTEM:
        cause = _tried(database)
        return _failure_of_system(cause) if cause else StorageFailed(UNKNOWN.format(said=error))
    return fault()


def no_room(reason: str) -> StorageFull:
    """The error for a disk without room, for a reason of some words."""
    return StorageFull(
        f"There is no room left on the server's disk: {reason}. Make room there, or let consumers pull; publish again "
        "when there is room."
    )


def fault() -> InternalError:
    """The error for changes that cannot be written because of a fault of this program."""
    return InternalError(FAULT_SENTENCE)


def described(error: BaseException | None) -> str:
    """The cause of a failure, for the log."""
    return _said(error) if isinstance(error, sqlite3.Error) else str(error)


def _failure_of_system(error: OSError) -> PeerbusError:
    said = error.strerror or str(error)
    if error.errno in NO_ROOM:
        return no_room(said)
    return StorageFailed(UNWRITABLE.get(error.errno or 0, UNKNOWN).format(said=said))


def _tried(database: Path) -> OSError | None:
    """The error of the system when a file beside the database is written as far as that one; None if that works."""
    files = [database, database.with_name(f"{database.name}-wal")]
    draft = database.with_suffix(".try")
    try:
        size = max(file.stat().st_size for file in files if file.exists() or file == database)
        file = os.open(draft, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            written = 0
            while written < TRIED_BYTES:
                written += os.pwrite(file, bytes(TRIED_BYTES - written), size + written)
            os.fsync(file)
        finally:
            os.close(file)
            draft.unlink()
    except OSError as error:
        return error
    return None


def _code(error: sqlite3.Error) -> int:
    # Errors of Python's own, such as text that is not UTF-8, have no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)


def _said(error: sqlite3.Error) -> str:
    return f"{error}, {getattr(error, 'sqlite_errorname', type(error).__name__)}"
