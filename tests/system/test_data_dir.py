"""What a restart keeps of what a user sees, whether the server was stopped or killed."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Any

import pytest

from tests.support.durable import DurableServer
from tests.support.harness import Api, Process, eventually

Run = Callable[..., Process]
ENDS = pytest.mark.parametrize("end", [SIGKILL, SIGTERM])
HOUR = 3600


@pytest.fixture
def server(run: Run, tmp_path: Path) -> DurableServer:
    """Not started yet."""
    return DurableServer(run, tmp_path / "data")


def restart(server: DurableServer, end: Signals) -> Api:
    server.end(end)
    return server.start()


def publish(api: Api, *messages: Any, topic: str = "news", **fields: Any) -> dict[str, Any]:
    reply = api.post("/publish", topic=topic, messages=messages, **fields)
    assert reply.status == 200
    return reply.body


def pull(api: Api, peer_id: str, topic: str = "news", **fields: Any) -> dict[str, Any]:
    reply = api.post("/pull_messages", peer_id=peer_id, topic=topic, **fields)
    assert reply.status == 200
    return reply.body


def seen(api: Api) -> dict[str, Any]:
    """What anybody can look at, but for what time alone changes and what is counted since the server's start."""
    peers = api.get("/peers").body["peers"]
    topics = [topic | {"oldest_unread_seconds": None, "missed": 0} for topic in api.get("/topics").body["topics"]]
    return {
        "epoch": api.get("/stats").body["stats"]["epoch"],
        "peers": [{name: value for name, value in peer.items() if name != "expires_in"} for peer in peers],
        "topics": topics,
        **{topic["topic"]: api.get("/query_peers", topic=topic["topic"]).body for topic in topics},
    }


@ENDS
def test_a_restart_keeps_all_that_can_be_looked_at(server: DurableServer, end: Signals) -> None:
    api = server.start()
    for peer, known in {"a": {"address": "http://127.0.0.1:1", "lease_seconds": HOUR}, "b": {}, "c": {}}.items():
        api.post("/register_peer_node", peer_id=peer, **known)
    api.post("/create_topic", topic="news", max_messages=3, overflow="drop_oldest", max_age=HOUR)
    api.post("/create_topic", topic="jobs")
    for peer, options in {"a": {"group": "g", "ack": "explicit"}, "b": {"group": "g"}, "c": {}}.items():
        api.post("/subscribe", peer_id=peer, topic="news", **options)
    publish(api, 1, "two", None, {"four": [5.0]})
    pull(api, "a", max_messages=1)
    api.post("/unregister_peer_node", peer_id="b")
    before = seen(api)
    assert before["topics"][1] | {"dropped": 1, "unread": 3, "subscribers": 2} == before["topics"][1]
    assert seen(restart(server, end)) == before


@ENDS
def test_pulling_goes_on_where_it_stood(server: DurableServer, end: Signals) -> None:
    api = server.start()
    api.subscriber("a", "news")
    api.subscriber("late", "news")
    publish(api, *range(5))
    pull(api, "a", max_messages=2)
    api = restart(server, end)
    publish(api, 5)
    assert pull(api, "a")["messages"] == [2, 3, 4, 5]
    assert pull(api, "late")["messages"] == [0, 1, 2, 3, 4, 5]


@ENDS
def test_what_was_handed_over_stays_so_until_its_deadline(server: DurableServer, end: Signals) -> None:
    api = server.start()
    api.subscriber("a", "news")
    api.post("/subscribe", peer_id="a", topic="news", ack="explicit", ack_deadline=HOUR)
    publish(api, *range(4))
    pull(api, "a", max_messages=3)
    api.post("/ack_messages", peer_id="a", topic="news", offsets=[0])
    api = restart(server, end)
    assert pull(api, "a")["offsets"] == [3]
    assert api.post("/ack_messages", peer_id="a", topic="news", offsets=[0, 1], attempts=[1, 1]).body["stale"] == [0]
    assert api.post("/nack_messages", peer_id="a", topic="news", offsets=[2], attempts=[1]).body["rejected"] == 1
    again = pull(api, "a")
    assert (again["offsets"], again["attempts"], again["resume_from"]) == ([2], [2], 2)


@ENDS
def test_what_a_limit_dropped_is_told_after_a_restart(server: DurableServer, end: Signals) -> None:
    api = server.start()
    api.post("/create_topic", topic="news", max_messages=2, overflow="drop_oldest")
    api.subscriber("a", "news")
    publish(api, 0, 1)
    publish(api, 2)
    told = pull(restart(server, end), "a")
    assert (told["messages"], told["missed"]) == ([1, 2], 1)


@ENDS
def test_a_repeated_publish_is_known_after_a_restart(server: DurableServer, end: Signals) -> None:
    api = server.start()
    api.subscriber("a", "news")
    publish(api, "before")
    publish(api, "x", "y", message_id="id")
    api = restart(server, end)
    again = publish(api, "x", "y", message_id="id")
    assert (again["offset"], again["count"], again["duplicate"]) == (1, 2, True)
    assert pull(api, "a")["messages"] == ["before", "x", "y"]


@ENDS
def test_scheduled_messages_come_when_they_are_due_after_a_restart(server: DurableServer, end: Signals) -> None:
    api = server.start()
    api.subscriber("a", "news")
    later = [publish(api, number, delay=HOUR - number, message_id=f"m{number}")["scheduled"] for number in range(3)]
    publish(api, "soon", "after", delay=0.5, peer_id="a")
    before = api.get("/scheduled", topic="news").body["scheduled"]
    api = restart(server, end)
    assert pull(api, "a", wait=20)["messages"] == ["soon", "after"]
    assert api.get("/scheduled", topic="news").body["scheduled"] == [entry for entry in before if entry["id"] in later]
    assert publish(api, 0, delay=HOUR, message_id="m0")["scheduled"] == later[0]
    api.post("/cancel_scheduled", topic="news", ids=later[1:])
    api = restart(server, end)
    assert [entry["id"] for entry in api.get("/scheduled", topic="news").body["scheduled"]] == later[:1]
    assert publish(api, "x", delay=HOUR)["scheduled"] > later[-1] + 1


def test_messages_that_fall_due_while_the_server_is_killed_are_published_once(server: DurableServer) -> None:
    api = server.start()
    api.subscriber("a", "news")
    expected = list(range(400))
    for number in expected:
        publish(api, number, delay=0.5 + number / 400)
    found: list[int] = []
    while len(found) < len(expected):
        found += pull(api, "a", wait=20, max_messages=120)["messages"]
        api.post("/register_peer_node", peer_id="a")  # answered when what the pull changed is on disk
        if len(found) < 300:
            api = restart(server, SIGKILL)
    assert found == expected
    assert api.get("/stats").body["stats"]["scheduled"] == 0
    assert api.get("/topics").body["topics"][0]["next_offset"] == len(expected)


@ENDS
def test_a_deleted_topic_is_told_once_though_the_server_restarts(server: DurableServer, end: Signals) -> None:
    api = server.start()
    api.subscriber("a", "news")
    api.delete("/delete_topic", topic="news")
    codes = []
    for _ in range(2):
        api = restart(server, end)
        codes.append(api.post("/pull_messages", peer_id="a", topic="news").body["code"])
        api.post("/register_peer_node", peer_id="a")  # answered when what the pull changed is on disk
    assert codes == ["topic_deleted", "topic_not_found"]


@ENDS
def test_a_topic_created_anew_is_another(server: DurableServer, end: Signals) -> None:
    api = server.start()
    api.subscriber("a", "news")
    publish(api, "old", message_id="id")
    api.delete("/delete_topic", topic="news")
    api.subscriber("b", "news")
    api = restart(server, end)
    published = publish(api, "new", message_id="id")
    assert (published["offset"], published["duplicate"]) == (0, False)
    assert pull(api, "b")["messages"] == ["new"]


@ENDS
def test_offsets_go_on_though_no_message_is_left(run: Run, tmp_path: Path, end: Signals) -> None:
    server = DurableServer(run, tmp_path / "data", "--history", "0")
    api = server.start()
    api.subscriber("a", "news")
    publish(api, *range(7))
    pull(api, "a")
    assert publish(restart(server, end), "next")["offset"] == 7


def test_a_copy_made_while_the_server_runs_is_the_state_of_that_moment(
    run: Run, server: DurableServer, tmp_path: Path
) -> None:
    """As docs/operations.md tells to make it, and to put it back."""
    api = server.start()
    api.subscriber("a", "news")
    publish(api, *range(2000))
    pull(api, "a", max_messages=500)
    before = seen(api)
    (tmp_path / "restored").mkdir()
    with closing(sqlite3.connect(f"file:{server.folder}/peerbus.db?mode=ro", uri=True)) as reader:
        reader.execute(f"VACUUM INTO '{tmp_path}/restored/peerbus.db'")
    publish(api, "after")
    restored = DurableServer(run, tmp_path / "restored").start()
    assert seen(restored) == before
    assert pull(restored, "a", max_messages=2000)["messages"] == list(range(500, 2000))
    assert publish(restored, "other")["offset"] == 2000


def test_a_pull_that_waits_when_the_server_stops_takes_nothing(server: DurableServer) -> None:
    api = server.start()
    api.subscriber("a", "news")
    waiting = api.in_background("POST", "/pull_messages", peer_id="a", topic="news", wait=30)
    eventually(lambda: api.get("/stats").body["stats"]["waiting_pulls"] == 1)
    api = restart(server, SIGTERM)
    assert (waiting.result().status, waiting.result().body["messages"]) == (200, [])
    publish(api, "after")
    assert pull(api, "a")["messages"] == ["after"]


def test_without_a_data_folder_nothing_is_kept(run: Run, tmp_path: Path) -> None:
    epochs = []
    for _ in range(2):
        process = run("indexing_server.py", "--port", "0", PEERBUS_LOG_DIR=str(tmp_path / "logs"))
        api = Api(process.urls()[0])
        epochs.append(seen(api)["epoch"])
        assert api.get("/topics").body["topics"] == api.get("/peers").body["peers"] == []
        api.subscriber("a", "news")
        assert api.get("/stats").body["stats"]["stored_bytes"] == 0
        process.signal(SIGTERM)
        assert process.finish() == (0, "", "")
    assert epochs[0] != epochs[1]
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_loading_much_tells_how_far_it_is(server: DurableServer, tmp_path: Path) -> None:
    api = server.start()
    api.subscriber("a", "news")
    for _ in range(5):
        publish(api, *range(8_000))
    restart(server, SIGTERM)
    log = next((tmp_path / "logs").glob("indexing_server-*.log")).read_text()
    for line in (
        *("16000 messages loaded.", "32000 messages loaded."),
        *("Read 1 peers, 1 topics.", "Loaded 1 peers, 1 topics."),
    ):
        assert f" INFO    {line}\n" in log
    server.end(SIGTERM)
