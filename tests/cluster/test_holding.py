"""Calls that come while no server owns the shard, or its owner cannot be reached, are held."""

from functools import partial
from typing import Any

import pytest

from peerbus.storage.group_commit import InMemory
from tests.support.cluster import start_cluster
from tests.support.connections import call
from tests.support.harness import in_background
from tests.support.streams import Reader

NEWS = {"topic": "news"}
PEER: dict[str, Any] = {"peer_id": "peer1", **NEWS}
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a publish": ("POST", "/publish", {**NEWS, "message": "one"}),
    "a publish with an id": ("POST", "/publish", {**NEWS, "message": "one", "message_id": "1"}),
    "a call that is idempotent": ("POST", "/create_topic", NEWS),
    "a call that removes something": ("DELETE", "/delete_topic", NEWS),
    "a pull": ("POST", "/pull_messages", PEER),
    "a pull that waits": ("POST", "/pull_messages", {**PEER, "wait": 0.01}),
    "an acknowledgement": ("POST", "/ack_messages", {**PEER, "offsets": [0]}),
    "a listing": ("GET", "/topics", {}),
}
called = pytest.mark.parametrize(("method", "path", "fields"), CALLS.values(), ids=CALLS)


@called
def test_while_there_is_no_owner(method: str, path: str, fields: dict[str, Any]) -> None:
    with start_cluster() as cluster:
        owner, other = cluster
        owner.api.subscriber("peer1", "news")
        owner.api.post("/subscribe", **PEER, ack="explicit")
        cluster.shard.give(None)
        held = other.api.in_background(method, path, **fields)
        assert other.api.get("/livez").status == 200
        assert not held.done()
        cluster.shard.give(owner.url)
        assert held.result().status == 200


@called
def test_whose_patience_ends_are_told_when_to_call_again(method: str, path: str, fields: dict[str, Any]) -> None:
    with start_cluster(patience=0.05, owned=False) as cluster:
        for member in cluster:
            reply = member.api.send(method, path, json=fields)
            assert (reply.status, reply.body["code"], reply.headers["Retry-After"]) == (503, "shard_unavailable", "1")


@called
def test_while_the_owner_cannot_be_reached(method: str, path: str, fields: dict[str, Any]) -> None:
    with start_cluster(count=3) as cluster:
        first, second, third = cluster
        second.serve()
        second.api.subscriber("peer1", "news")
        second.api.post("/subscribe", **PEER, ack="explicit")
        first.cable.cut()
        held = third.api.in_background(method, path, **fields)
        cluster.shard.give(second.url)
        assert held.result().status == 200


def test_a_server_that_cannot_be_reached_is_named_when_patience_ends() -> None:
    with start_cluster(patience=0.05) as cluster:
        first, second = cluster
        first.cable.cut()
        reply = second.api.post("/publish", **NEWS, message="one")
        assert (reply.status, reply.body["code"]) == (503, "shard_unavailable")
        assert first.url in reply.body["message"]


@pytest.mark.parametrize("at", [0, 1])
def test_while_the_owner_loads(at: int) -> None:
    with start_cluster(owned=False) as cluster:
        owner, _ = cluster
        cluster.shard.give(owner.url)
        held = in_background(lambda: cluster.members[at].api.post("/create_topic", **NEWS))
        assert cluster.members[at].api.get("/livez").status == 200
        assert not held.done()
        owner.serve()
        assert held.result().body["created"]


def test_a_stream_is_held_too() -> None:
    with start_cluster() as cluster:
        owner, other = cluster
        owner.api.subscriber("peer1", "news")
        owner.api.post("/publish", **NEWS, message="one")
        cluster.shard.give(None)
        reading = in_background(lambda: Reader(other.api, **PEER))
        assert other.api.get("/livez").status == 200
        cluster.shard.give(owner.url)
        with reading.result() as reader:
            assert reader.messages(1) == ["one"]


def test_a_stream_whose_patience_ends_is_refused_and_a_browser_told_to_come_back() -> None:
    with start_cluster(patience=0.05, owned=False) as cluster:
        api = cluster.members[0].api
        reply = api.get("/stream", **PEER)
        assert (reply.status, reply.body["code"]) == (503, "shard_unavailable")
        browsers = call(api, "GET", "/stream?peer_id=peer1&topic=news", headers={"Accept": "text/event-stream"})
        assert browsers.status == 200
        assert browsers.body.startswith(b"retry: 1000\nevent: end\n")
        assert b"shard_unavailable" in browsers.body


def test_a_head_of_a_stream_is_held_and_answered_as_its_get() -> None:
    with start_cluster() as cluster:
        owner, other = cluster
        owner.api.subscriber("peer1", "news")
        for topic, status in (("news", 200), ("absent", 404)):
            cluster.shard.give(None)
            path = f"/stream?peer_id=peer1&topic={topic}"
            held = in_background(partial(call, other.api, "HEAD", path))
            cluster.shard.give(owner.url)
            assert held.result().status == status


def test_a_server_is_ready_while_the_owner_is() -> None:
    with start_cluster(count=3) as cluster:
        first, second, third = cluster
        assert [member.api.get("/readyz").status for member in cluster] == [200, 200, 200]
        cluster.shard.give(None)
        assert third.api.get("/readyz").body["code"] == "not_ready"
        cluster.shard.give(second.url)
        assert [member.api.get("/readyz").status for member in (second, third)] == [503, 503]
        second.serve(InMemory())
        assert [member.api.get("/readyz").status for member in (second, third)] == [200, 200]
        second.cable.cut()
        assert third.api.get("/readyz").body["code"] == "not_ready"
        assert first.api.get("/livez").status == third.api.get("/livez").status == 200
