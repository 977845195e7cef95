"""Memory that messages took returns to the system once they are gone."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.support.harness import Api, Process, eventually

BATCH = 5_000
HELD = 50 << 20


def resident(process: Process) -> int:
    """The resident size of a process, in KiB."""
    return int(subprocess.check_output(["/bin/ps", "-o", "rss=", "-p", str(process.pid)]))


def pull_all(api: Api) -> None:
    while api.post("/pull_messages", peer_id="a", topic="news", max_messages=BATCH).body["remaining"]:
        pass


ENDINGS: dict[str, Callable[[Api], object]] = {
    "they were pulled": pull_all,
    "their topic was deleted": lambda api: api.delete("/delete_topic", topic="news"),
    "their subscriber left": lambda api: api.post("/unregister_peer_node", peer_id="a"),
}


@pytest.mark.parametrize("size", [100, 2000])
@pytest.mark.parametrize("gone", ENDINGS.values(), ids=ENDINGS)
def test_memory_returns_when(run: Callable[..., Process], gone: Callable[[Api], object], size: int) -> None:
    server = run("indexing_server.py", "--port", "0", "--history", "0")
    api = Api(server.urls()[0])
    api.subscriber("a", "news")
    before = resident(server)
    messages = ["x" * size] * BATCH
    for _ in range(HELD // size // BATCH):
        assert api.post("/publish", topic="news", messages=messages).status == 200
    held = api.get("/stats").body["stats"]["memory_bytes"]
    full = resident(server)
    assert full - before > held / 1024 / 2, "the messages are in memory"
    gone(api)
    eventually(lambda: api.get("/stats").body["stats"]["memory_bytes"] < held / 20)
    eventually(lambda: resident(server) - before < (full - before) / 2)
    api.close()


def test_memory_of_messages_in_flight_returns_when_their_topic_is_deleted(run: Callable[..., Process]) -> None:
    server = run("indexing_server.py", "--port", "0")
    api = Api(server.urls()[0])
    api.post("/create_topic", topic="news")
    peers = [f"peer{number}" for number in range(6)]
    for peer_id in peers:
        api.post("/register_peer_node", peer_id=peer_id)
        api.post("/subscribe", peer_id=peer_id, topic="news", ack="explicit")
    api.post("/publish", topic="news", messages=[1] * 100_000)
    before = resident(server)
    for peer_id in peers:
        for _ in range(10):
            api.post("/pull_messages", peer_id=peer_id, topic="news", max_messages=10_000)
    full = resident(server)
    stats = api.get("/stats").body["stats"]
    assert stats["unacknowledged"] == 600_000
    assert stats["memory_bytes"] / 1024 > full - before, "they count for what they take"
    api.delete("/delete_topic", topic="news")
    eventually(lambda: api.get("/stats").body["stats"]["memory_bytes"] == 0)
    eventually(lambda: resident(server) - before < (full - before) / 2)
    api.close()


TOPICS = 100_000


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "after a restart"])
def test_a_topic_without_messages_takes_at_most_600_bytes(
    run: Callable[..., Process], tmp_path: Path, kept: bool
) -> None:
    options = ("indexing_server.py", "--port", "0", *(("--data-dir", str(tmp_path / "data")) if kept else ()))
    server = run(*options)
    api = Api(server.urls()[0])
    empty = resident(server)
    for begin in range(0, TOPICS, BATCH):
        topics = [f"topic-{number:06}" for number in range(begin, begin + BATCH)]
        assert api.post("/create_topics", topics=topics).body["created"] == BATCH
    if kept:
        server.signal(SIGTERM)
        server.finish()
        server = run(*options)
        api = Api(server.urls()[0])
    assert api.get("/stats").body["stats"]["topics"] == TOPICS
    assert (resident(server) - empty) * 1024 <= 600 * TOPICS
