"""The calls a peer node answers itself."""

from typing import Any

import pytest

from peerbus.node.event_log import KEPT
from tests.support.harness import Api, eventually, start_node

DELETED = {"event": "topic_deleted", "topic": "news", "message": "Topic 'news' was deleted."}


def test_a_notice_is_noted_among_the_events(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        assert node.post("/notify", **DELETED).status == 200
        noted = node.get("/events").body
    assert noted["message"] == "2 events."
    assert {key: noted["events"][1][key] for key in DELETED} == DELETED


def test_deleting_a_topic_is_noted_by_each_subscriber(index: Api) -> None:
    with start_node("peer1", index.url) as one, start_node("peer2", index.url) as two:
        one.post("/create_topic", topic="news")
        for node in (one, two):
            assert node.post("/subscribe", topic="news").status == 200
        assert sorted(one.delete("/delete_topic", topic="news").body["notified"]) == ["peer1", "peer2"]
        eventually(lambda: [node.events()[1:] for node in (one, two)] == [["topic_deleted"]] * 2)


def test_only_the_latest_events_are_kept(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        for number in range(KEPT + 1):
            node.post("/notify", **DELETED | {"message": str(number)})
        kept = [event["message"] for event in node.get("/events").body["events"]]
    assert kept == [str(number) for number in range(1, KEPT + 1)]


@pytest.mark.parametrize(
    "junk",
    [
        {},
        {"event": "topic_deleted"},
        DELETED | {"event": "party"},
        DELETED | {"topic": "a b"},
        DELETED | {"topic": 5},
        DELETED | {"more": 1},
        DELETED | {"message": "x" * 1001},
    ],
)
def test_junk_is_no_notice(index: Api, junk: dict[str, Any]) -> None:
    with start_node("peer1", index.url) as node:
        reply = node.post("/notify", **junk)
        assert (reply.status, reply.body["code"]) == (400, "bad_request")
        assert node.events() == ["registered"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/notify", b"{", 400),
        ("POST", "/notify", b"", 400),
        ("GET", "/notify", b"", 405),
        ("POST", "/events", b"", 405),
        ("POST", "/exit_peer", b'{"now": true}', 400),
        ("GET", "/exit_peer", b"", 405),
        ("GET", "/events?limit=1", b"", 400),
    ],
)
def test_a_wrong_call_is_refused_and_changes_nothing(
    index: Api, method: str, path: str, body: bytes, status: int
) -> None:
    with start_node("peer1", index.url) as node:
        assert node.send(method, path, data=body, headers={"Content-Type": "application/json"}).status == status
        assert node.get("/readyz").status == 200
        assert node.events() == ["registered"]


def test_a_peer_that_exits_is_answered_and_unregistered(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        assert node.post("/exit_peer").body == {"message": "Peer 'peer1' is leaving.", "peer_id": "peer1"}
        assert index.get("/peers").body["peers"] == []


def test_a_peer_that_was_unregistered_can_exit(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        assert node.post("/unregister_peer_node").status == 200
        assert node.post("/exit_peer").status == 200


def test_only_so_many_pulls_wait_at_a_node_and_they_hold_no_threads(index: Api) -> None:
    with start_node("peer1", index.url, threads=2, max_waiting=3) as node:
        node.post("/create_topic", topic="news")
        node.post("/subscribe", topic="news")
        held = [node.in_background("POST", "/pull_messages", topic="news", wait=60) for _ in range(3)]
        eventually(lambda: index.get("/stats").body["stats"]["waiting_pulls"] == 3)
        refused = node.post("/pull_messages", topic="news", wait=60)
        assert (refused.status, refused.body["code"]) == (503, "too_many_waiting")
        assert refused.headers["Retry-After"] == "1"
        assert node.post("/pull_messages", topic="news").status == 200
        node.delete("/delete_topic", topic="news")
        assert sorted(pull.result().status for pull in held) == [404, 404, 410]


def test_a_node_tells_whom_it_acts_for(index: Api) -> None:
    with start_node("peer1", index.url, lease_seconds=60) as node:
        told = node.get("/node").body
        assert told.pop("renewed_ago") >= 0
        assert told == {
            "message": f"Peer 'peer1' is registered with {index.url}.",
            "peer_id": "peer1",
            "address": node.url,
            "index_url": index.url,
            "registered": True,
            "lease_seconds": 60.0,
        }
        node.post("/register_peer_node", address=None, lease_seconds=None)
        told = node.get("/node").body
        assert (told["address"], told["lease_seconds"]) == (None, None)
        node.post("/unregister_peer_node")
        assert node.get("/node").body["registered"] is False


def test_a_node_that_never_reached_the_server_was_never_renewed() -> None:
    with start_node("peer1", "http://127.0.0.1:1") as node:
        told = node.get("/node").body
        assert (told["registered"], told["renewed_ago"]) == (False, None)
