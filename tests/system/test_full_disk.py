"""A full disk: publishes are refused before they do anything, and all goes on by itself when there is room again."""

import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

import pytest
import requests

from tests.support.durable import DurableServer
from tests.support.harness import Api, Process, Reply, eventually

MORE_THAN_THERE_IS = str(1 << 62)


@pytest.fixture
def server(run: Callable[..., Process], tmp_path: Path) -> DurableServer:
    """It has served already: two peers, each with messages to pull, one has some in hand."""
    server = DurableServer(run, tmp_path / "data")
    api = server.start()
    api.subscriber("a", "news")
    api.subscriber("b", "news")
    api.post("/subscribe", peer_id="b", topic="news", ack="explicit")
    api.post("/publish", topic="news", messages=list(range(10)))
    api.post("/pull_messages", peer_id="b", topic="news", max_messages=5)
    server.end(SIGTERM)
    return server


def fill_disk(server: DurableServer, bytes_free: int = 0) -> None:
    """Let the server write nothing to any file, as when its disk is full or a quota is reached."""
    _, most = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (bytes_free, most))


def make_room(server: DurableServer) -> None:
    fill_disk(server, bytes_free=resource.RLIM_INFINITY)


def publish(api: Api, *messages: Any, **fields: Any) -> Reply:
    return api.post("/publish", topic="news", messages=messages, **fields)


def pull(api: Api, peer_id: str) -> list[Any]:
    messages: list[Any] = api.post("/pull_messages", peer_id=peer_id, topic="news").body["messages"]
    return messages


def published(api: Api) -> int:
    offset: int = api.get("/topics").body["topics"][0]["next_offset"]
    return offset


GROWING: dict[str, dict[str, Any]] = {
    "/publish": {"topic": "news", "messages": ["x", "y"], "message_id": "id"},
    "/create_topic": {"topic": "other"},
    "/register_peer_node": {"peer_id": "c"},
}


def test_below_min_free_what_takes_room_is_refused_and_not_done(server: DurableServer) -> None:
    api = server.start("--min-free", MORE_THAN_THERE_IS)
    assert (
        "Nothing is published for now. There is no room left on the server's disk: less than --min-free is left."
        in (server.process.error_line())
    )
    for path, fields in GROWING.items():
        reply = api.post(path, **fields)
        assert (path, reply.status, reply.body["code"]) == (path, 507, "storage_full")
        assert reply.headers["Retry-After"] == "10"
    assert published(api) == 10
    server.end(SIGTERM)
    again = publish(server.start(), "x", "y", message_id="id").body
    assert (again["offset"], again["duplicate"]) == (10, False)


def test_below_min_free_all_else_goes_on(server: DurableServer) -> None:
    api = server.start("--min-free", MORE_THAN_THERE_IS)
    server.process.error_line()
    ready = api.get("/readyz")
    assert (ready.status, "less than --min-free is left" in ready.body["message"]) == (200, True)
    assert pull(api, "a") == list(range(10))
    calls: dict[str, dict[str, Any]] = {
        "/extend_messages": {"peer_id": "b", "topic": "news", "offsets": [0, 1], "seconds": 60},
        "/ack_messages": {"peer_id": "b", "topic": "news", "offsets": [0, 1]},
        "/nack_messages": {"peer_id": "b", "topic": "news", "offsets": [2]},
        "/register_peer_node": {"peer_id": "a"},
        "/unsubscribe": {"peer_id": "a", "topic": "news"},
        "/unregister_peer_node": {"peer_id": "a"},
    }
    for path, fields in calls.items():
        assert (path, api.post(path, **fields).status) == (path, 200)
    server.end(SIGKILL)
    api = server.start("--min-free", MORE_THAN_THERE_IS)
    assert [peer["peer_id"] for peer in api.get("/peers").body["peers"]] == ["b"]
    assert pull(api, "b") == [2, 5, 6, 7, 8, 9]
    assert api.delete("/delete_topic", topic="news").status == 200


def test_what_cannot_be_written_waits_until_it_can(server: DurableServer, tmp_path: Path) -> None:
    api = server.start()
    fill_disk(server)
    caught = api.in_background("POST", "/publish", topic="news", messages=["x", "y"], message_id="id")
    line = server.process.error_line()
    assert "Nothing is published for now. There is no room left on the server's disk: File too large." in line
    assert "peerbus.db: " in line
    ready = api.get("/readyz")
    assert (ready.status, "no room left on the server's disk" in ready.body["message"]) == (503, True)
    refused = publish(api, "z")
    assert (refused.status, refused.body["code"]) == (507, "storage_full")
    pulling = api.in_background("POST", "/pull_messages", peer_id="a", topic="news")
    eventually(lambda: api.get("/stats").body["stats"]["pulled"] == 10)
    assert not caught.done()
    assert not pulling.done()
    make_room(server)
    assert (caught.result().status, caught.result().body["offset"]) == (200, 10)
    assert pulling.result().body["messages"] == list(range(10))
    assert publish(api, "after").status == 200
    assert pull(api, "a") == ["x", "y", "after"]
    assert api.get("/readyz").body["message"] == "Ready."
    (log,) = (tmp_path / "logs").glob("indexing_server-*.log")
    assert "Changes are written to the disk again, and messages are published." in log.read_text()
    server.end(SIGKILL)
    assert pull(server.start(), "b") == [5, 6, 7, 8, 9, "x", "y", "after"]


@pytest.mark.parametrize("end", [SIGKILL, SIGTERM])
def test_what_could_not_be_written_was_not_done_when_the_server_ends(server: DurableServer, end: Signals) -> None:
    api = server.start()
    fill_disk(server)
    caught = api.in_background("POST", "/publish", topic="news", messages=["x", "y"], message_id="id")
    server.process.error_line()
    taking = api.in_background("POST", "/pull_messages", peer_id="a", topic="news")
    eventually(lambda: api.get("/stats").body["stats"]["pulled"] == 10)
    server.end(end)
    for call in (caught, taking):
        with suppress(requests.ConnectionError):  # nor was it said to be
            assert call.result().body["code"] == "storage_full"
    api = server.start()
    assert published(api) == 10
    again = publish(api, "x", "y", message_id="id").body
    assert (again["offset"], again["duplicate"]) == (10, False)
    assert pull(api, "a") == [*range(10), "x", "y"]


def test_what_gathered_while_nothing_could_be_written_is_written_when_the_server_stops(server: DurableServer) -> None:
    api = server.start()
    fill_disk(server)
    calls = [api.in_background("POST", "/publish", topic="news", messages=["x", "y"])]
    server.process.error_line()
    calls.append(api.in_background("POST", "/unregister_peer_node", peer_id="a"))
    eventually(lambda: len(api.get("/peers").body["peers"]) == 1)
    server.process.signal(SIGTERM)
    make_room(server)
    assert [call.result().status for call in calls] == [200, 200]
    assert server.process.finish()[0] == 0
    assert published(server.start()) == 12
    assert len(Api(server.url).get("/peers").body["peers"]) == 1
