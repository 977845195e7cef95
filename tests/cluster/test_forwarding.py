"""What a server that does not own the shard answers: the same as the owner."""

import json
from typing import Any

import pytest

from peerbus.http.middleware import Guards
from peerbus.server.access import Tokens
from tests.support.cluster import SECRET, start_cluster
from tests.support.connections import JSON, call
from tests.support.endpoints import EIGHT_CALLS
from tests.support.harness import Api, eventually, start_node
from tests.support.streams import Reader

NEWS = {"topic": "news"}
PEER: dict[str, Any] = {"peer_id": "peer1", **NEWS}
FORWARDED = JSON | {"Peerbus-Forwarded": "http://127.0.0.1:1"}
TOKENS = Tokens("enrolment-secret", "administration-secret", "metrics-secret")
BODY = 1 << 20
"""Bytes of the largest body."""


def of_size(size: int) -> bytes:
    """The body of a publish."""
    body = b'{"topic": "news", "message": "%b"}'
    return body % (b"x" * (size - len(body) + 2))


def test_the_eight_calls_go_through_any_server() -> None:
    with start_cluster(count=3) as cluster:
        for number, (method, path, fields, expected) in enumerate(EIGHT_CALLS):
            reply = cluster.members[number % 3].api.send(method, path, json=fields)
            assert reply.status == 200, reply
            assert reply.body.items() >= expected.items()


def test_a_server_that_does_not_own_the_shard_passes_no_call_on_that_was_passed_on_to_it() -> None:
    with start_cluster() as cluster:
        owner, other = cluster
        for path in ("/topics", "/readyz"):
            reply = call(other.api, "GET", path, headers=FORWARDED)
            assert (reply.status, reply.json()["code"]) == (421, "not_owner")
            assert call(owner.api, "GET", path, headers=FORWARDED).status == 200


def test_a_wrong_guess_is_seen_and_the_call_made_once_more() -> None:
    with start_cluster(count=3) as cluster:
        _, second, third = cluster
        third.view.see(second.url)
        assert third.api.post("/create_topic", **NEWS).status == 200
        assert (third.view.refreshed, second.view.refreshed) == (1, 0)
        assert third.view.owner == cluster.shard.owner


@pytest.mark.parametrize("size", [BODY - 1, BODY])
def test_a_body_of_the_largest_size_is_passed_on(size: int) -> None:
    with start_cluster(options={"max_body": BODY}) as cluster:
        _, other = cluster
        other.api.subscriber("peer1", "news")
        assert call(other.api, "POST", "/publish", of_size(size)).status == 200
        assert len(other.api.post("/pull_messages", **PEER).body["messages"][0]) > size - 100


def test_a_larger_body_is_refused_here_and_what_a_node_adds_does_not_count() -> None:
    with start_cluster(options={"max_body": BODY}) as cluster, start_node("peer1", cluster.members[1].url) as node:
        _, other = cluster
        node.post("/create_topic", **NEWS)
        assert call(other.api, "POST", "/publish", of_size(BODY + 1)).status == 413
        assert call(node, "POST", "/publish", of_size(BODY)).status == 200


def test_a_caller_shows_its_token_to_the_owner() -> None:
    with start_cluster(tokens=TOKENS) as cluster:
        _, other = cluster
        reply = other.api.post("/register_peer_node", peer_id="peer1")
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
        token = other.api.showing("enrolment-secret").post("/register_peer_node", peer_id="peer1").body["token"]
        peer = other.api.showing(token)
        assert peer.post("/create_topic", **NEWS).status == 200
        assert peer.get("/peers").body["code"] == "forbidden"
        assert other.api.showing("administration-secret").get("/peers").body["peers"][0]["peer_id"] == "peer1"


def test_a_stream_is_admitted_by_its_token_or_its_ticket() -> None:
    with start_cluster(tokens=TOKENS) as cluster:
        _, other = cluster
        token = other.api.showing("enrolment-secret").post("/register_peer_node", peer_id="peer1").body["token"]
        peer = other.api.showing(token)
        peer.post("/create_topic", **NEWS)
        peer.post("/subscribe", **PEER)
        peer.post("/publish", **NEWS, messages=["one", "two"])
        assert other.api.get("/stream", **PEER).status == 401
        with Reader(other.api, headers={"Authorization": f"Bearer {token}"}, **PEER) as reader:
            assert reader.messages(2) == ["one", "two"]
        ticket = peer.post("/stream_ticket", **PEER).body["ticket"]
        with Reader(other.api, last_id=0, **PEER, ticket=ticket) as reader:
            assert reader.messages(1) == ["two"]


def test_metrics_and_pages_are_each_servers_own() -> None:
    with start_cluster(tokens=TOKENS) as cluster:
        for member in cluster:
            asked = member.api.showing("metrics-secret").session.get(f"{member.api.url}/metrics")
            assert (asked.status_code, "peerbus_streams 0.0" in asked.text) == (200, True)
            assert member.api.session.get(f"{member.api.url}/metrics").status_code == 401
            assert member.api.session.get(f"{member.api.url}/").headers["Content-Type"] == "text/html; charset=utf-8"
            assert "shard_unavailable" in member.api.session.get(f"{member.api.url}/openapi.json").text


ADDRESSED = {"peer_id": "peer1", "address": "http://10.1.2.3:5001"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Peerbus-Client": "10.1.2.3"}, 403),
        ({"Peerbus-Client": "10.1.2.3", "Peerbus-Secret": "guessed"}, 403),
        ({"Peerbus-Client": "10.1.2.4", "Peerbus-Secret": SECRET}, 403),
        ({"Peerbus-Client": "10.1.2.3", "Peerbus-Secret": SECRET}, 200),
    ],
)
def test_the_owner_believes_servers_alone_which_caller_a_peer_has(headers: dict[str, str], status: int) -> None:
    with start_cluster(count=1) as cluster:
        body = json.dumps(ADDRESSED).encode()
        assert call(cluster.members[0].api, "POST", "/register_peer_node", body, JSON | headers).status == status


def test_a_peer_may_name_its_own_address_at_any_server_and_no_other() -> None:
    with start_cluster() as cluster:
        _, other = cluster
        assert other.api.post("/register_peer_node", **ADDRESSED).body["code"] == "address_not_allowed"
        assert other.api.post("/register_peer_node", peer_id="peer1", address="http://127.0.0.1:5001").status == 200


def test_the_rate_of_a_client_is_limited_where_it_calls_and_not_at_the_owner() -> None:
    with start_cluster(count=4, options={"guards": Guards(rate_limit=20)}) as cluster:
        statuses = [member.api.get("/topics").status for member in cluster.members[1:] for _ in range(20)]
        assert statuses == [200] * 60
        eventually(lambda: cluster.members[1].api.get("/topics").status == 429)


def test_a_pull_too_many_is_refused() -> None:
    with start_cluster(max_waiting=1) as cluster:
        _, other = cluster
        other.api.subscriber("peer1", "news")
        waits = other.api.in_background("POST", "/pull_messages", **PEER, wait=60)
        eventually(lambda: waiting(other.api, 1))
        assert other.api.post("/pull_messages", **PEER, wait=60).body["code"] == "too_many_waiting"
        assert other.api.post("/pull_messages", **PEER).status == 200
        other.api.post("/publish", **NEWS, message="one")
        assert waits.result().body["messages"] == ["one"]
        assert other.api.post("/pull_messages", **PEER, wait=0.01).body["messages"] == []


@pytest.mark.parametrize("body", [b"{}", b"[", b'{"wait": "x"}', b'{"wait": -1}', b'{"wait": [[[[', b"\xff"])
def test_a_pull_that_cannot_be_read_is_refused_by_the_owner(body: bytes) -> None:
    with start_cluster() as cluster:
        direct, passed = (call(member.api, "POST", "/pull_messages", body) for member in cluster)
        assert (passed.status, passed.body) == (direct.status, direct.body)
        assert passed.status == 400


def waiting(api: Api, pulls: int) -> Any:
    return api.get("/stats").body["stats"]["waiting_pulls"] == pulls
