"""Following a topic by the Python client: long work, loops that end, lost messages, Ctrl-C."""

import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest

from peerbus.client import Client, Missed, MissedWarning
from peerbus.http.listener import bind
from peerbus.server import IndexingServer, ServerOptions
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit
from tests.support.harness import DEADLINE, ROOT, Api, Clock, eventually, free_port, serving

DUE = 0.3
"""Seconds of leases and deadlines; heartbeats come in real time, leases and deadlines end by the test's clock."""
STEP = 0.2
"""Seconds that pass between two heartbeats."""


class SteppedServer:
    """An indexing server on one port and one data folder, whose time only passes while a heartbeat comes for `a`."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.port = free_port()
        self._folder = folder
        self._clock = clock
        self._running: Iterator[Api] | None = None

    def start(self) -> Api:
        journal = GroupCommit(Storage(self._folder), 0, self._clock)
        self._running = serving(IndexingServer(bind("127.0.0.1", self.port), ServerOptions(), journal))
        self.api = next(self._running)
        return self.api

    def stop(self) -> None:
        if self._running:
            list(self._running)
            self._running = None

    def time_passes(self, seconds: float) -> None:
        """Step by step; the next step begins when a heartbeat that was sent after the last one has come."""
        for _ in range(round(seconds / STEP)):
            before = self._expires_in()
            self._clock.advance(STEP)
            eventually(lambda: self._expires_in() > before - STEP / 2)  # noqa: B023

    def _expires_in(self) -> float:
        return float(self.api.get("/peers").body["peers"][0]["expires_in"])


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[SteppedServer]:
    server = SteppedServer(tmp_path / "data", clock)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(server: SteppedServer) -> Iterator[Client]:
    """The client of `a`, which has a lease, and three jobs to do."""
    with Client(server.api.url, "a") as client:
        client.register(lease_seconds=DUE)
        client.create_topic("jobs")
        client.publish_batch("jobs", [0, 1, 2])
        yield client


def totals(server: SteppedServer) -> dict[str, Any]:
    stats = server.api.get("/stats").body["stats"]
    return {name: stats[name] for name in ("acknowledged", "redelivered", "missed", "expired_peers")}


def left(api: Api, peer_id: str = "a") -> list[tuple[Any, int]]:
    """The messages of a peer that can be pulled now, with their attempts."""
    pulled = api.post("/pull_messages", peer_id=peer_id, topic="jobs").body
    return list(zip(pulled["messages"], pulled["attempts"], strict=True))


@pytest.mark.parametrize("batch", [1, 3])
def test_work_takes_longer_than_the_lease_and_the_deadline_and_is_done_once(
    server: SteppedServer, client: Client, batch: int
) -> None:
    done = []
    for message in client.messages("jobs", start="earliest", batch=batch, ack_deadline=DUE, max_attempts=1):
        server.time_passes(0.8)
        done.append((message.value, message.attempt))
        if len(done) == 3:
            client.ack(message)
            break
    assert done == [(0, 1), (1, 1), (2, 1)]
    assert totals(server) == {"acknowledged": 3, "redelivered": 0, "missed": 0, "expired_peers": 0}


def test_work_goes_on_while_the_server_is_away(server: SteppedServer, client: Client) -> None:
    followed = client.messages("jobs", start="earliest", ack_deadline=DUE)
    message = next(followed)
    server.time_passes(STEP)
    server.stop()
    with socket.create_server(("127.0.0.1", server.port)) as somebody:
        for _ in range(2):
            somebody.accept()[0].close()
    server.start()
    server.time_passes(0.8)
    assert client.ack(message).acknowledged == 1
    assert [(message.value, message.attempt) for message in (next(followed), next(followed))] == [(1, 1), (2, 1)]
    followed.close()


def test_a_message_that_another_has_now_does_not_end_the_loop(server: SteppedServer, client: Client) -> None:
    followed = client.messages("jobs", start="earliest", group="g", ack_deadline=DUE)
    message = next(followed)
    server.api.post("/nack_messages", peer_id="a", topic="jobs", offsets=[0])
    server.api.post("/register_peer_node", peer_id="b")
    server.api.post("/subscribe", peer_id="b", topic="jobs", group="g")
    assert server.api.post("/pull_messages", peer_id="b", topic="jobs", max_messages=1).body["offsets"] == [0]
    server.time_passes(STEP)
    assert client.ack(message).stale == [0]
    assert next(followed).value == 1
    followed.close()
    assert totals(server)["acknowledged"] == 0


def test_what_the_loop_rejects_itself_stays_rejected(server: SteppedServer, client: Client) -> None:
    client.register(lease_seconds=60.0)
    followed = client.messages("jobs", start="earliest", batch=2, ack_deadline=DUE)
    client.nack(next(followed), delay=0.8)
    assert next(followed).value == 1
    assert totals(server)["acknowledged"] == 0
    server.time_passes(0.8)
    assert [(message.value, message.attempt) for message in (next(followed), next(followed))] == [(0, 2), (2, 1)]
    followed.close()


def test_what_the_loop_has_settled_itself_is_not_yielded_or_handed_back(server: SteppedServer, client: Client) -> None:
    followed = client.messages("jobs", start="earliest", batch=3)
    assert next(followed).value == 0
    assert client.ack_offsets("jobs", up_to=1).acknowledged == 2
    last = next(followed)
    assert last.value == 2
    client.ack(last)
    followed.close()
    assert left(server.api) == []
    assert totals(server) == {"acknowledged": 3, "redelivered": 0, "missed": 0, "expired_peers": 0}


def test_the_current_message_of_a_loop_that_ends_counts_as_attempted_and_no_other(
    server: SteppedServer, client: Client
) -> None:
    for message in client.messages("jobs", start="earliest", batch=3):
        if message.value == 1:
            break
    assert left(server.api) == [(1, 2), (2, 1)]


def test_one_message_is_taken_at_a_time(server: SteppedServer, client: Client) -> None:
    followed = client.messages("jobs", start="earliest")
    next(followed)
    assert left(server.api) == [(1, 1), (2, 1)]
    followed.close()


# Lost messages


@pytest.fixture
def lossy(index: Api) -> Api:
    """A topic that has lost two of the jobs of `a`."""
    index.post("/create_topic", topic="jobs", max_messages=2, overflow="drop_oldest")
    index.post("/register_peer_node", peer_id="a")
    index.post("/subscribe", peer_id="a", topic="jobs", ack="explicit")
    for job in range(4):
        index.post("/publish", topic="jobs", message=job)
    return index


def test_lost_messages_are_told_before_those_that_are_left(lossy: Api) -> None:
    told: list[Missed] = []
    with Client(lossy.url, "a") as client:
        followed = client.messages("jobs", on_missed=told.append)
        assert next(followed).value == 2
        assert told == [("jobs", 2)]
        assert next(followed).value == 3
        followed.close()
    assert len(told) == 1


def test_lost_messages_are_warned_of_where_nobody_is_to_be_told(lossy: Api) -> None:
    with Client(lossy.url, "a") as client:
        followed = client.messages("jobs")
        with pytest.warns(MissedWarning, match="^2 messages of topic 'jobs' lost") as seen:
            assert next(followed).value == 2
        followed.close()
    assert [warning.filename for warning in seen] == [__file__], "where the loop is"


def test_a_warning_that_is_an_error_hands_the_messages_back(lossy: Api) -> None:
    with Client(lossy.url, "a") as client, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(MissedWarning):
            next(client.messages("jobs", batch=2))
    assert left(lossy) == [(2, 1), (3, 1)]


# Programs of their own

WORKER = """
import sys, threading
from peerbus.client import Client
with Client(sys.argv[1], "a") as client:
    try:
        for message in client.messages("jobs", start="earliest", wait=60):
            print(message.value, flush=True)
            if message.value == sys.argv[2]:
                threading.Event().wait()
    except KeyboardInterrupt:
        print("threads:", threading.active_count())
"""


@pytest.fixture
def worker(index: Api) -> Iterator["subprocess.Popen[str]"]:
    """A program that waits in its loop at the job `long`."""
    index.post("/create_topic", topic="jobs")
    command = [sys.executable, "-c", WORKER, index.url, "long"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("job", ["long", "short"])
def test_ctrl_c_ends_the_loop_and_its_threads_without_a_trace(
    index: Api, worker: "subprocess.Popen[str]", job: str
) -> None:
    index.post("/publish", topic="jobs", message=job)
    assert worker.stdout
    assert worker.stdout.readline() == f"{job}\n"
    if job == "short":
        eventually(lambda: index.get("/stats").body["stats"]["waiting_pulls"] == 1)
    worker.send_signal(SIGINT)
    out, err = worker.communicate(timeout=DEADLINE)
    assert (worker.returncode, out, err) == (0, "threads: 1\n", "")
    assert left(index) == ([("long", 2)] if job == "long" else [])


def test_each_loss_is_warned_of(lossy: Api, worker: "subprocess.Popen[str]") -> None:
    assert worker.stdout
    assert [worker.stdout.readline() for _ in range(2)] == ["2\n", "3\n"]
    eventually(lambda: lossy.get("/stats").body["stats"]["waiting_pulls"] == 1)
    lossy.post("/publish", topic="jobs", messages=[4, 5, 6, 7])
    assert [worker.stdout.readline() for _ in range(2)] == ["6\n", "7\n"]
    eventually(lambda: lossy.get("/stats").body["stats"]["waiting_pulls"] == 1)
    worker.send_signal(SIGINT)
    _, err = worker.communicate(timeout=DEADLINE)
    assert err.count("MissedWarning: 2 messages of topic 'jobs' lost before they could be pulled.") == 2
