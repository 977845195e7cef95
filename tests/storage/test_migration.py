"""A folder that an older release wrote: `version2` has what a broker of schema version 2 left there."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from peerbus.broker import Broker, Limits
from peerbus.broker.records import Changes, PeerRecord
from peerbus.errors import TopicDeleted
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from peerbus.storage.tables import SCHEMA_VERSION
from tests.support.storage import contents, opened

WRITTEN_AT = 1796096450.0
"""Seconds since 1970 at which the folder was written."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(Path(__file__).parent / "version2", tmp_path / "data"))


@pytest.fixture
def broker(folder: Path) -> Iterator[Broker]:
    journal = GroupCommit(Storage(folder), 0, clock=lambda: 1000.0, wall_clock=lambda: WRITTEN_AT)
    yield journal.open(Limits(), lambda *_: None)
    journal.close()


def test_messages_queues_and_deliveries_are_as_they_were(broker: Broker) -> None:
    assert [peer.peer_id for peer in broker.list_peers(10)] == ["reader", "worker1", "worker2"]
    (workers,) = broker.list_subscriptions(10, topic="jobs")
    assert (workers.queue, workers.members, workers.unread, workers.unacknowledged) == ("group workers", 2, 8, 3)
    assert broker.acknowledge("worker1", "jobs", [(2, 1), (3, 1)]).count == 2
    assert broker.acknowledge("worker2", "jobs", [(4, 1)]).count == 1
    assert broker.pull("worker2", "jobs").offsets == [5, 6, 7, 8, 9]
    assert broker.pull("reader", "news").values == [b'"Second news"']
    assert broker.publish("jobs", [b"0"], message_id="batch-1").duplicate
    with pytest.raises(TopicDeleted):
        broker.pull("reader", "gone")
    assert broker.token_hash("reader") == b"\x01" * 32
    assert broker.peek("dead", 10, 1000).values[0].startswith(b'{"message":{"job": 1},"topic":"jobs","offset":1')


def test_its_dead_letters_are_kept_from_now_on(broker: Broker) -> None:
    (letters,) = broker.list_subscriptions(10, topic="dead")
    assert (letters.queue, letters.unread, letters.expires_after) == ("group dead-letters", 1, None)
    assert broker.redrive("dead", [0]).count == 1
    assert broker.list_topics(10)[1].next_offset == 11


def test_its_queues_outlive_their_members_from_now_on(broker: Broker) -> None:
    for peer_id in ("worker1", "worker2"):
        broker.unregister_peer(peer_id)
    (workers,) = broker.list_subscriptions(10, topic="jobs")
    assert (workers.members, workers.unread, workers.expires_in) == (0, 8, Limits().group_expiry)


def test_each_older_schema_is_brought_up_to_date(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "peerbus.db")) as older:
        older.executescript(
            "ALTER TABLE peers DROP COLUMN token_hash; ALTER TABLE topics DROP COLUMN creator; PRAGMA user_version = 1"
        )
    for _ in range(2):
        assert len(contents(folder).topics) == 3
    with opened(folder) as storage:
        storage.write(Changes(peers={"a": PeerRecord("a", None, None, [], b"hash", 7.5)}))
    assert PeerRecord("a", None, None, [], b"hash", 7.5) in contents(folder).peers
    with closing(sqlite3.connect(folder / "peerbus.db")) as upgraded:
        assert upgraded.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_group_of_the_same_name_becomes_that_of_its_dead_letters(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "peerbus.db")) as older:
        older.execute(
            "INSERT INTO queues SELECT 1000, number, 'dead-letters', 1, 30.0, NULL, NULL, start, start, 0, '[]' "
            "FROM topics WHERE name = 'dead'"
        )
        older.commit()
    assert [queue.number for queue in contents(folder).queues if queue.group == "dead-letters"] == [1000]
