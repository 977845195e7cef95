"""How much a broker on disk lets in: what its disk has room for, and what was freed."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from errno import ENOENT
from pathlib import Path
from types import SimpleNamespace

import pytest

from peerbus.broker import Broker, Limits
from peerbus.errors import StorageFailed, StorageFull
from peerbus.future import Future
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit

CAPACITY = 32 << 20
RESERVE = 8 << 20
MOST = (CAPACITY - RESERVE) * 1.01
"""What messages may take, with a little for what SQLite writes around them."""
BLOCK = 4096
MESSAGE = b'"%s"' % (b"x" * 100_000)


def taken(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """On a small disk that nothing else is on."""

    def room(_: Path) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=max(0, CAPACITY - taken(tmp_path)) // BLOCK, f_frsize=BLOCK)

    monkeypatch.setattr(os, "statvfs", room)
    return tmp_path


@pytest.fixture
def journal(folder: Path) -> Iterator[GroupCommit]:
    """What changes is written when the test says so."""
    journal = GroupCommit(Storage(folder), RESERVE)
    yield journal
    journal.start()
    journal.close()


@pytest.fixture
def broker(journal: GroupCommit) -> Broker:
    broker = journal.open(Limits(history=0), lambda *_: None)
    broker.create_topic("news")
    broker.register_peer("a")
    broker.subscribe("a", "news")
    journal.write()
    return broker


def fill(broker: Broker, journal: GroupCommit, at_once: int) -> int:
    """Publish until there is no room, and return how many messages that took."""
    published = 0
    while True:
        try:
            for _ in range(at_once):
                broker.publish("news", [MESSAGE])
                published += 1
        except StorageFull:
            journal.write()
            return published
        journal.write()


@pytest.mark.parametrize("at_once", [1, 20, 1000])
def test_publishing_leaves_the_reserve_to_others(
    folder: Path, broker: Broker, journal: GroupCommit, at_once: int
) -> None:
    """Also when all that is in the write-ahead log has gone to the database."""
    assert fill(broker, journal, at_once) > 80
    assert taken(folder) < MOST
    with closing(sqlite3.connect(folder / "peerbus.db")) as other:
        assert other.execute("PRAGMA wal_checkpoint").fetchone()[0] == 0
    assert taken(folder) < MOST


def test_what_is_freed_within_the_database_is_room(folder: Path, broker: Broker, journal: GroupCommit) -> None:
    first = fill(broker, journal, at_once=20)
    while broker.pull("a", "news").values:
        journal.write()
    assert fill(broker, journal, at_once=20) > first / 2
    assert taken(folder) < MOST


def test_a_disk_that_cannot_be_looked_at_takes_nothing(
    broker: Broker, journal: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(os, "statvfs", failing)
        broker.publish("news", [b"1"])
        kept = journal.after_commit("answer")
        journal.write()
        assert isinstance(kept, Future)
        assert kept.result(timeout=0) == "answer"
        journal.write()
        with pytest.raises(StorageFailed):
            broker.publish("news", [b"2"])
    journal.write()
    broker.publish("news", [b"3"])
    journal.write()
    assert broker.pull("a", "news").values == [b"1", b"3"]


def failing(path: Path) -> None:
    raise FileNotFoundError(ENOENT, "No such file or directory", str(path))
