"""A database that is damaged is refused and left as it is; what was cut off while it was written costs nothing else."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerbus.broker.records import Changes, Contents, ScheduledRecord, Segment
from peerbus.storage import StorageError
from tests.support.storage import contents, copy, files, messages, noise, opened, published, topic

PAGE = 4096
COMMITS = 12


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of many pages and nothing beside it."""
    folder = tmp_path_factory.mktemp("closed")
    with opened(folder) as storage:
        for offset in range(0, 300, 10):
            storage.write(published(1, offset, *(noise(900, seed) for seed in range(10))))
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose server was killed after `COMMITS` commits, which are all in the write-ahead log."""
    folder = tmp_path_factory.mktemp("open")
    with opened(folder) as storage:
        for offset in range(COMMITS):
            storage.write(published(1, offset, b"%d" % offset))
        return copy(folder, tmp_path_factory.mktemp("killed") / "data")


def refused_untouched(folder: Path) -> str:
    """Why the folder cannot be loaded; fails if the attempt changed a file."""
    before = files(folder)
    with pytest.raises(StorageError) as refused:
        contents(folder)
    assert before.items() <= files(folder).items()
    assert str(refused.value).isprintable()
    assert str(folder / "peerbus.db") in str(refused.value)
    return str(refused.value)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "garbage": lambda data: noise(len(data)),
    "text": lambda _: b"not a database\n",
    "the header alone": lambda data: data[:100],
    "one page short": lambda data: data[:-PAGE],
    "cut in half": lambda data: data[: len(data) // 2],
    "cut within a page": lambda data: data[: len(data) // 2 + 1000],
    "a torn page": lambda data: data[: 4 * PAGE + 2000] + noise(2 * PAGE) + data[6 * PAGE + 2000 :],
    "a page of zeros in the middle": lambda data: data[: 20 * PAGE] + bytes(PAGE) + data[21 * PAGE :],
    "zeros at the end": lambda data: data[:-PAGE] + bytes(PAGE),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_database_is_refused_and_left_as_it_is(closed: Path, tmp_path: Path, damage: str) -> None:
    folder = copy(closed, tmp_path / "data")
    database = folder / "peerbus.db"
    database.write_bytes(DAMAGE[damage](database.read_bytes()))
    assert "restore the folder from a copy" in refused_untouched(folder)


def test_no_page_can_be_lost(closed: Path, tmp_path: Path) -> None:
    data = (closed / "peerbus.db").read_bytes()
    for at in range(0, len(data), PAGE):
        folder = copy(closed, tmp_path / str(at))
        (folder / "peerbus.db").write_bytes(data[:at] + bytes(PAGE) + data[at + PAGE :])
        refused_untouched(folder)


@settings(deadline=None, max_examples=100)
@given(page=st.integers(0), content=st.sampled_from([bytes(PAGE), noise(PAGE), None]))
def test_no_damage_to_a_page_makes_up_messages(
    closed: Path, tmp_path_factory: pytest.TempPathFactory, page: int, content: bytes | None
) -> None:
    folder = copy(closed, tmp_path_factory.mktemp("damaged") / "data")
    database = folder / "peerbus.db"
    data = bytearray(database.read_bytes())
    at = page % (len(data) // PAGE) * PAGE
    data[at : at + PAGE] = content or data[-PAGE:]
    database.write_bytes(data)
    try:
        found = contents(folder)
    except StorageError:
        return
    assert messages(found) == messages(contents(closed))


def ends(found: Contents) -> int:
    """How many of the commits are there; fails if they are not the first ones, each whole."""
    end = found.topics[0].end if found.topics else 0
    assert messages(found) == {(1, offset): (b"%d" % offset, 1000.0 + offset) for offset in range(end)}
    return end


@settings(deadline=None, max_examples=60)
@given(lost=st.integers(1, 6 * PAGE), garbage=st.booleans())
def test_a_torn_tail_of_the_log_costs_the_last_commits_only(
    killed: Path,
    tmp_path_factory: pytest.TempPathFactory,
    lost: int,
    garbage: bool,
) -> None:
    folder = copy(killed, tmp_path_factory.mktemp("torn") / "data")
    log = folder / "peerbus.db-wal"
    data = log.read_bytes()
    log.write_bytes(data[:-lost] + (noise(lost) if garbage else b""))
    kept = ends(contents(folder))
    assert COMMITS - lost // PAGE - 1 <= kept < COMMITS
    assert ends(contents(folder)) == kept
    with opened(folder) as storage:
        storage.write(published(1, kept, b"%d" % kept))
    assert ends(contents(folder)) == kept + 1


def test_a_killed_server_loses_nothing(killed: Path, tmp_path: Path) -> None:
    assert ends(contents(copy(killed, tmp_path / "data"))) == COMMITS


def test_a_log_without_its_database_is_refused(killed: Path, tmp_path: Path) -> None:
    folder = copy(killed, tmp_path / "data")
    (folder / "peerbus.db").unlink()
    assert "it is missing, and peerbus.db-wal is there" in refused_untouched(folder)


def test_a_missing_message_is_refused(tmp_path: Path) -> None:
    segments = [Segment(1, 0, [b"0", b"1"], 1.0), Segment(1, 3, [b"3", b"4"], 1.0)]
    with opened(tmp_path) as storage:
        storage.write(Changes(topics={1: topic(1, 0, 5)}, segments=segments))
    assert "topic 'topic1' has messages up to 2 instead of 5" in refused_untouched(tmp_path)


def test_records_that_belong_to_nothing_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "open") as storage:
        storage.write(Changes(segments=[Segment(7, 0, [b"x"], 1.0)]))
        folder = copy(tmp_path / "open", tmp_path / "killed")
    assert "segments, 1, topics, 0" in refused_untouched(folder)
    assert (folder / "peerbus.db-wal").stat().st_size > 0


def test_a_message_that_was_altered_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        storage.write(published(1, 0, b"the message"))
    database = tmp_path / "peerbus.db"
    database.write_bytes(database.read_bytes().replace(b"the message", b"a_message!!"))
    assert "messages of topic 1 before offset 1 are not as they were written" in refused_untouched(tmp_path)


def test_scheduled_messages_that_were_altered_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as storage:
        record = ScheduledRecord(1, 5, 1.0, None, None, (b"the message",))
        storage.write(Changes(topics={1: topic(1, 0, 0)}, scheduled={(1, 5): record}))
    database = tmp_path / "peerbus.db"
    database.write_bytes(database.read_bytes().replace(b"the message", b"a_message!!"))
    assert "the scheduled messages 5 of topic 1 are not as they were written" in refused_untouched(tmp_path)


@pytest.mark.parametrize("table", ["meta", "peers", "segments"])
def test_a_table_that_is_missing_is_refused(closed: Path, tmp_path: Path, table: str) -> None:
    folder = copy(closed, tmp_path / "data")
    with closing(sqlite3.connect(folder / "peerbus.db")) as other:
        other.execute(f"DROP TABLE {table}")
    assert f"no such table: {table}" in refused_untouched(folder)
