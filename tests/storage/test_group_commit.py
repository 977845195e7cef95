"""What is on disk when a call is answered."""

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Queue
from threading import Barrier
from typing import TypeVar

import pytest

from peerbus.broker import Broker, Limits
from peerbus.errors import InternalError, StorageFailed, StorageFull
from peerbus.future import Future
from peerbus.http.listener import bind
from peerbus.server import IndexingServer, ServerOptions
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.support.harness import DEADLINE, ROOT, Api, Process, serving
from tests.support.storage import contents

T = TypeVar("T")


def opened(folder: Path, reserve: int = 0, told: list[str] | None = None) -> tuple[GroupCommit, Broker]:
    """A journal that writes when it is told to, and its broker, which has the topic `news`, read by `a`."""
    journal = GroupCommit(Storage(folder), reserve)
    broker = journal.open(Limits(), lambda topic, _: None if told is None else told.append(topic))
    if not broker.stats().topics and not reserve:
        broker.create_topic("news")
        broker.register_peer("a")
        broker.subscribe("a", "news")
        journal.write()
    return journal, broker


def held(journal: GroupCommit, value: T) -> Future[T]:
    """`value`, which is held back."""
    later = journal.after_commit(value)
    assert isinstance(later, Future)
    assert not later.done
    return later


def published(folder: Path) -> list[bytes]:
    """The messages in a folder."""
    return [value for segment in contents(folder).segments for value in segment.values]


# Answering


def test_a_value_is_held_until_all_that_changed_before_it_is_written_and_no_longer(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    assert journal.after_commit(0) == 0
    broker.publish("news", [b"1"])
    first = held(journal, 1)
    journal.write()
    assert first.result(0) == 1
    assert journal.after_commit(2) == 2
    broker.publish("news", [b"2"])
    assert held(journal, 3)
    journal.close()


def test_values_come_in_the_order_they_were_held_back(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    came: list[int] = []
    for number in range(5):
        broker.publish("news", [b"x"])
        held(journal, number).add_done_callback(lambda later: came.append(later.result(0)))
    journal.write()
    assert came == list(range(5))
    journal.close()


def test_a_message_can_be_pulled_when_its_publisher_is_answered_and_not_before(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    waiting = broker.pull_waiting("a", "news", 1, 60.0)
    broker.publish("news", [b"1", b"2"])
    broker.run_due()
    assert isinstance(waiting, Future)
    assert not waiting.done
    assert broker.pull("a", "news").values == []
    pulled: list[bytes] = []
    held(journal, None).add_done_callback(lambda _: pulled.extend(broker.pull("a", "news", 1).values))
    journal.write()
    assert pulled == [b"1"]
    broker.run_due()
    assert waiting.result(0).values == [b"2"]
    journal.close()


def test_subscribers_are_notified_of_a_deletion_that_is_written(tmp_path: Path) -> None:
    told: list[str] = []
    journal, broker = opened(tmp_path, told=told)
    broker.delete_topic("news")
    assert told == []
    journal.write()
    assert told == ["news"]
    journal.close()


def test_what_comes_together_is_one_transaction(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    values = [b"%d" % number for number in range(500)]
    answers = []
    for value in values:
        broker.publish("news", [value])
        answers.append(held(journal, value))
    journal.start()
    assert [answer.result(DEADLINE) for answer in answers] == values
    journal.close()
    assert published(tmp_path) == values
    with closing(sqlite3.connect(tmp_path / "peerbus.db")) as database:
        assert database.execute("SELECT count(*) FROM segments").fetchall() == [(1,)], "a row for each transaction"


def test_many_threads_are_all_answered(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    journal.start()
    threads, each = 16, 50
    begin = Barrier(threads)

    def publish(thread: int) -> None:
        begin.wait()
        for number in range(each):
            answer = journal.after_commit(broker.publish("news", [b"%d:%d" % (thread, number)]))
            offset = (answer.result(DEADLINE) if isinstance(answer, Future) else answer).offset
            assert offset is not None
            assert broker.list_topics(1)[0].next_offset > offset

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(publish, range(threads)))
    assert sorted(broker.pull("a", "news").values) == sorted(published_by(threads, each))
    journal.close()
    assert sorted(published(tmp_path)) == sorted(published_by(threads, each))


def published_by(threads: int, each: int) -> list[bytes]:
    return [b"%d:%d" % (thread, number) for thread in range(threads) for number in range(each)]


def test_the_answers_of_a_batch_are_delivered_in_one_call(tmp_path: Path) -> None:
    calls: Queue[Callable[[], None]] = Queue()

    def deliver(resolve: Callable[[], None]) -> bool:
        calls.put(resolve)
        return True

    journal, broker = opened(tmp_path)
    answers = []
    for number in range(3):
        broker.publish("news", [b"x"])
        answers.append(held(journal, number))
    journal.start(deliver)
    resolve = calls.get(timeout=DEADLINE)
    assert [answer.done for answer in answers] == [False] * 3
    resolve()
    assert [answer.result(0) for answer in answers] == [0, 1, 2]
    journal.close()
    assert calls.empty()


def test_what_is_no_longer_delivered_is_answered_all_the_same(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    broker.publish("news", [b"x"])
    answer = held(journal, "answer")
    journal.start(lambda _: False)
    assert answer.result(DEADLINE) == "answer"
    journal.close()


# Closing


def test_closing_writes_what_is_left_though_nothing_was_started(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    broker.publish("news", [b"1"])
    last = held(journal, 1)
    journal.close()
    assert last.result(0) == 1
    assert published(tmp_path) == [b"1"]


def test_what_cannot_be_written_when_the_server_stops_is_answered_so(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    broker.publish("news", [b"1"])
    journal.write()
    broker.subscribe("a", "news", explicit=True, max_attempts=1 << 64)  # more than a column of the database takes
    last = held(journal, 1)
    journal.start()
    journal.close()
    with pytest.raises(InternalError, match="stopped"):
        last.result(0)
    assert published(tmp_path) == [b"1"], "the folder is free, and as it was"


# Disks that are full, or gone

FULL = """
import logging, pathlib, resource, sys
from peerbus.errors import StorageFull
from tests.storage.test_group_commit import held, opened

def refused():
    try:
        broker.publish("news", [b"more"])
    except StorageFull:
        return True
    return False

class Told(logging.Handler):
    def emit(self, record):
        assert "Nothing is published" in record.getMessage()
        found.append(refused())

found = []
logging.getLogger().addHandler(Told())
journal, broker = opened(pathlib.Path(sys.argv[1]))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
broker.publish("news", [bytes(300_000)], message_id="x")
answer = held(journal, "answer")
for _ in range(2):
    journal.write()
    assert not answer.done
    assert broker.pull("a", "news").values == []
    assert refused()
    assert broker.publish("news", [bytes(300_000)], message_id="x").duplicate
assert found == [True], "told of before it is so"
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
journal.write()
assert answer.result(0) == "answer"
assert broker.publish("news", [b"more"]).offset == 1
journal.close()
"""


def test_what_finds_no_room_is_kept_and_written_when_there_is_some(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FULL, tmp_path], cwd=ROOT, check=True, timeout=DEADLINE)
    assert published(tmp_path) == [bytes(300_000), b"more"]


def test_nothing_is_published_while_less_than_the_reserve_is_free(tmp_path: Path) -> None:
    journal, broker = opened(tmp_path)
    broker.publish("news", [b"1"])
    journal.close()
    journal, broker = opened(tmp_path, reserve=1 << 62)
    with pytest.raises(StorageFull, match="no room left"):
        broker.publish("news", [b"2"])
    assert broker.pull("a", "news").values == [b"1"]
    answer = held(journal, "pulled")
    journal.write()
    assert answer.result(0) == "pulled"
    journal.close()


def test_a_folder_that_was_moved_away_is_written_and_needed_for_the_next_message(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    journal, broker = opened(folder)
    broker.publish("news", [b"1"])
    answer = held(journal, 1)
    folder.rename(tmp_path / "away")
    with caplog.at_level(logging.ERROR):
        journal.write()
        journal.write()
    assert [record.message.partition(" (/")[0] for record in caplog.records] == [
        "Nothing is published for now. The server's data folder is gone (No such file or directory). "
        "Put it back where it was, or restart the server."
    ]
    assert answer.result(0) == 1
    with pytest.raises(StorageFailed, match="folder is gone"):
        broker.publish("news", [b"2"])
    (tmp_path / "away").rename(folder)
    journal.write()
    broker.publish("news", [b"2"])
    journal.close()
    assert published(folder) == [b"1", b"2"]


# The server


@contextmanager
def server(folder: Path) -> Iterator[Api]:
    """An indexing server that keeps its state in `folder`."""
    yield from serving(IndexingServer(bind("127.0.0.1", 0), ServerOptions(), GroupCommit(Storage(folder), 0)))


def test_a_server_goes_on_where_the_one_before_it_stopped(tmp_path: Path) -> None:
    with server(tmp_path) as api:
        api.subscriber("a", "news")
        epoch = api.post("/register_peer_node", peer_id="a").body["epoch"]
        api.post("/publish", topic="news", message={"n": 1})
        api.post("/publish", topic="news", message={"n": 2})
        assert api.post("/pull_messages", peer_id="a", topic="news", max_messages=1).body["messages"] == [{"n": 1}]
    with server(tmp_path) as api:
        assert api.post("/register_peer_node", peer_id="a").body["epoch"] == epoch
        waiting = api.in_background("POST", "/pull_messages", peer_id="a", topic="news", wait=60.0)
        assert waiting.result(DEADLINE).body["messages"] == [{"n": 2}]


def test_a_limit_that_no_database_holds_is_refused(run: Callable[..., Process], tmp_path: Path) -> None:
    code, _, error = run("indexing_server.py", "--data-dir", str(tmp_path), "--max-messages", str(1 << 63)).finish()
    assert (code, "--max-messages" in error) == (2, True)


@pytest.mark.parametrize("attempts", [1 << 63, 1 << 64, 10**30])
def test_a_number_that_no_database_holds_is_refused_and_harms_nobody(tmp_path: Path, attempts: int) -> None:
    with server(tmp_path) as api:
        api.subscriber("a", "news")
        options = {"ack": "explicit", "max_attempts": attempts}
        refused = api.post("/subscribe", peer_id="a", topic="news", **options)
        assert (refused.status, refused.body["code"]) == (400, "bad_request")
        assert "$.max_attempts" in refused.body["message"]
        assert api.post("/publish", topic="news", message=1).status == 200
