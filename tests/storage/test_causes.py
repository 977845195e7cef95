"""Each cause for which nothing can be written has its error and its sentence, and passes when it is mended."""

import errno
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from peerbus.broker import Broker
from peerbus.errors import (
    CATALOGUE,
    UNKEPT,
    InternalError,
    PeerbusError,
    StorageDamaged,
    StorageFailed,
    StorageFull,
    StorageLocked,
)
from peerbus.storage import Storage, StorageError
from peerbus.storage.failures import failure
from tests.storage.test_group_commit import held, opened, published

OF_THE_SYSTEM = {
    errno.ENOSPC: StorageFull,
    errno.EDQUOT: StorageFull,
    errno.EFBIG: StorageFull,
    errno.EIO: StorageFailed,
    errno.EROFS: StorageFailed,
    errno.EACCES: StorageFailed,
    errno.EPERM: StorageFailed,
    errno.ENOENT: StorageFailed,
    errno.ESTALE: StorageFailed,
}


def of_sqlite(code: int) -> sqlite3.OperationalError:
    """An error as SQLite raises it; Python lets nobody else make one with a code."""
    error = sqlite3.OperationalError("said so")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SQLITE_CODE"
    return error


@contextmanager
def another_program(folder: Path) -> Iterator[None]:
    """Another program has a transaction open that writes."""
    with closing(sqlite3.connect(folder / "peerbus.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite does not wait for a lock."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *of, **options: connect(*of, **{"timeout": 0.0} | options))


def refused(broker: Broker) -> PeerbusError:
    with pytest.raises(UNKEPT) as refusal:
        broker.publish("news", [b"more"])
    return refusal.value


@pytest.mark.usefixtures("impatient")
def test_a_database_that_another_program_holds_is_no_full_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal, broker = opened(tmp_path)
    broker.publish("news", [b"1"])
    answer = held(journal, 1)
    with another_program(tmp_path), caplog.at_level(logging.ERROR):
        journal.write()
        journal.write()
        error = refused(broker)
        assert (type(error), broker.is_stuck) == (StorageLocked, True)
        assert "Another program holds the server's database" in error.message
        (line,) = caplog.messages
        assert error.message in line
        assert "peerbus.db: database is locked, SQLITE_BUSY" in line
        assert not answer.done
    journal.write()
    assert (answer.result(0), broker.refusal, broker.is_stuck) == (1, None, False)
    broker.publish("news", [b"2"])
    journal.close()
    assert published(tmp_path) == [b"1", b"2"]


@pytest.mark.usefixtures("impatient")
def test_a_database_that_another_program_holds_cannot_be_opened_and_says_so(tmp_path: Path) -> None:
    Storage(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "peerbus.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="another program holds it"):
            Storage(tmp_path)


@pytest.mark.usefixtures("impatient")
def test_a_program_that_reads_holds_nobody_up(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    with closing(sqlite3.connect(f"file:{tmp_path}/peerbus.db?mode=ro", uri=True, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM meta").fetchall()
        broker.publish("news", [b"1"])
        journal.write()
        assert broker.refusal is None
    journal.close()
    assert published(tmp_path) == [b"1"]


@pytest.mark.parametrize("number", OF_THE_SYSTEM, ids=errno.errorcode.get)
def test_an_error_of_the_system_is_told_by_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """SQLite tells that its input or output failed, and not why."""

    def fails(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    Storage(tmp_path).close()
    monkeypatch.setattr(os, "pwrite", fails)
    codes = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
    for code in codes:
        error = failure(tmp_path / "peerbus.db", of_sqlite(code))
        assert type(error) is OF_THE_SYSTEM[number]
        assert os.strerror(number) in error.message
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".try"] == []


CODES: dict[int, type[PeerbusError]] = {
    sqlite3.SQLITE_FULL: StorageFull,
    sqlite3.SQLITE_BUSY_SNAPSHOT: StorageLocked,
    sqlite3.SQLITE_LOCKED: StorageLocked,
    sqlite3.SQLITE_IOERR_FSYNC: StorageFailed,
    sqlite3.SQLITE_READONLY_DBMOVED: StorageFailed,
    sqlite3.SQLITE_CORRUPT: StorageDamaged,
    sqlite3.SQLITE_NOTADB: StorageDamaged,
    sqlite3.SQLITE_CONSTRAINT: InternalError,
    sqlite3.SQLITE_MISUSE: InternalError,
}


@pytest.mark.parametrize("code", CODES)
def test_each_code_of_the_database_has_its_error(tmp_path: Path, code: int) -> None:
    Storage(tmp_path).close()
    error = failure(tmp_path / "peerbus.db", of_sqlite(code))
    assert type(error) is CODES[code]
    assert error.message.endswith(".")


def test_what_time_mends_may_be_tried_again_and_nothing_else() -> None:
    assert {error.code: (error.status, error.retry_after) for error in UNKEPT} == {
        "storage_full": (507, 10),
        "storage_locked": (503, 5),
        "storage_failed": (503, 10),
        "storage_damaged": (500, None),
        "internal_error": (500, None),
    }
    assert all(CATALOGUE[error.code] is error for error in UNKEPT)


def test_a_fault_of_the_server_is_called_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal, broker = opened(tmp_path)
    broker.subscribe("a", "news", explicit=True, max_attempts=1 << 64)  # more than a column of the database takes
    journal.start()
    answer = held(journal, 1)
    journal.close()
    with pytest.raises(InternalError):
        answer.result(0)
    assert "a fault of the server" in refused(broker).message
    assert "OverflowError" in caplog.text


def test_another_cause_is_logged_when_it_follows_the_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "data"
    journal, broker = opened(folder)
    broker.publish("news", [b"1"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255)))
        journal.write()
        journal.write()
    folder.rename(tmp_path / "away")
    journal.write()
    assert ["no room left" in caplog.messages[0], "folder is gone" in caplog.messages[1]] == [True, True]
    (tmp_path / "away").rename(folder)
    journal.write()
    journal.close()
