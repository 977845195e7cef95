"""Failures of the disk and of the database, in words."""

import sqlite3
from pathlib import Path

from peerbus.errors import NotYet, StartError, StorageFull

NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
"""SQLite's codes for a full disk, an exhausted quota and a reached file size limit.

A broken disk has other codes: it fails when it is read or flushed, not when buffers are written.
"""
UNSOUND = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""SQLite's codes for a damaged file, a file of another format, and missing tables."""


class StorageError(StartError):
    """The state cannot be read or written; one sentence says what is wrong, where, and what to do."""


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
    if _code(error) & 0xFF in UNSOUND:
        return unsound(database, _said(error))
    return unusable(database.parent, _said(error))


def unwritten(database: Path, error: sqlite3.Error) -> StorageError | StorageFull:
    """The error for a transaction that was rolled back; `StorageFull` if there was no room for it."""
    if _code(error) in NO_ROOM:
        return StorageFull(f"Cannot write {database} ({_said(error)}).")
    return StorageError(f"Cannot write {database} ({_said(error)}): look after the disk it is on.")


def _code(error: sqlite3.Error) -> int:
    # Errors of Python's own, such as text that is not UTF-8, have no code.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)


def _said(error: sqlite3.Error) -> str:
    return f"{error}, {getattr(error, 'sqlite_errorname', type(error).__name__)}"
