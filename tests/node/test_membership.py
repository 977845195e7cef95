"""A peer node keeps its peer registered and subscribed, whatever becomes of the server or the lease."""

from typing import Any

import pytest

from tests.support.harness import DEADLINE, Api, eventually, start_node
from tests.support.servers import Restartable

SHORT = 0.6
"""A lease that is renewed five times a second."""
LONG = 3600.0
"""A lease whose renewal no test lives to see."""


def peer(index: Api, peer_id: str = "peer1") -> dict[str, Any] | None:
    """A peer as the server sees it, if it is registered."""
    found = [listed for listed in index.get("/peers").body["peers"] if listed["peer_id"] == peer_id]
    return found[0] if found else None


def subscribed_to(index: Api) -> list[str]:
    registered = peer(index)
    return registered["topics"] if registered else []


def publish(api: Api, *messages: Any, topic: str = "news") -> None:
    assert api.post("/publish", topic=topic, messages=list(messages)).status == 200


def pull(node: Api, topic: str = "news") -> Any:
    reply = node.post("/pull_messages", topic=topic)
    assert reply.status == 200, reply.body
    assert reply.body["missed"] == 0
    return reply.body["messages"]


def subscribe(node: Api, *topics: str) -> None:
    for topic in topics:
        node.post("/create_topic", topic=topic)
        assert node.post("/subscribe", topic=topic).status == 200


def forget(index: Api) -> None:
    """Let the peer be away, as if its lease had run out."""
    assert index.post("/unregister_peer_node", peer_id="peer1", keep=True).status == 200


# Registered and renewed


def test_a_node_registers_with_its_address_and_its_lease(index: Api) -> None:
    with start_node("peer1", index.url, lease_seconds=25) as node:
        registered = peer(index)
        assert registered
        assert (registered["address"], registered["lease_seconds"]) == (node.url, 25.0)
        assert node.get("/readyz").status == 200
        assert node.events() == ["registered"]


def test_a_node_that_stops_leaves_its_peers_queue_standing(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node, "news")
    assert peer(index) is None
    (queue,) = index.get("/subscriptions", topic="news").body["subscriptions"]
    assert (queue["queue"], queue["members"], queue["expires_in"] > 0) == ("peer1", 0, True)


def test_the_lease_is_renewed_as_long_as_the_node_runs(index: Api) -> None:
    with start_node("peer1", index.url, lease_seconds=SHORT) as node:
        index.post("/register_peer_node", peer_id="witness", lease_seconds=2 * SHORT)
        eventually(lambda: peer(index, "witness") is None)
        assert peer(index)
        assert node.events() == ["registered"]


def test_a_registration_through_the_node_decides_what_is_renewed(index: Api) -> None:
    with start_node("peer1", index.url, lease_seconds=LONG) as node:
        reply = node.post("/register_peer_node", address="http://127.0.0.1:9", lease_seconds=1)
        assert (reply.status, reply.body["created"]) == (200, False)
        forget(index)
        registered = eventually(lambda: peer(index))
        assert (registered["address"], registered["lease_seconds"]) == ("http://127.0.0.1:9", 1.0)


@pytest.mark.parametrize(("body", "status"), [({"lease_seconds": None}, 200), ({"lease_seconds": -1}, 400)])
def test_only_a_registration_that_went_through_counts(index: Api, body: dict[str, Any], status: int) -> None:
    with start_node("peer1", index.url, lease_seconds=LONG) as node:
        assert node.post("/register_peer_node", **body).status == status
        forget(index)
        assert node.post("/register_peer_node").status == 200
        registered = peer(index)
        assert registered
        assert registered["lease_seconds"] == (None if status == 200 else LONG)


# A server that restarted has nothing; all that it retains is new to the peer.


@pytest.mark.parametrize("lease", [SHORT, LONG])
def test_after_a_restart_a_call_finds_the_peer_registered_and_subscribed(server: Restartable, lease: float) -> None:
    server.start()
    with start_node("peer1", server.url, lease_seconds=lease) as node:
        subscribe(node, "news")
        publish(node, "old")
        assert pull(node) == ["old"]
        index = server.restart()
        index.post("/create_topic", topic="news")
        publish(index, "missed", "by nobody")
        assert pull(node) == ["missed", "by nobody"]
        assert "index_restarted" in node.events()
        assert node.events()[-1] == "resubscribed" if lease == LONG else "resubscribed" in node.events()


def test_after_a_restart_the_renewal_registers_and_subscribes(server: Restartable) -> None:
    server.start()
    with start_node("peer1", server.url, lease_seconds=SHORT) as node:
        subscribe(node, "news", "sport", "weather")
        index = server.restart()
        for topic in ("news", "sport"):
            index.post("/create_topic", topic=topic)
        eventually(lambda: subscribed_to(index) == ["news", "sport"])
        publish(index, "early", topic="news")
        index.post("/create_topic", topic="weather")
        publish(index, "sun", "rain", topic="weather")
        eventually(lambda: subscribed_to(index) == ["news", "sport", "weather"])
        assert [pull(node, topic) for topic in ("news", "sport", "weather")] == [["early"], [], ["sun", "rain"]]


@pytest.mark.parametrize(
    ("call", "fields"),
    [("/publish", {"topic": "news", "message": 1}), ("/subscribe", {"topic": "news"}), ("/register_peer_node", {})],
)
def test_after_a_restart_any_call_of_the_peer_brings_all_subscriptions_back(
    server: Restartable, call: str, fields: dict[str, Any]
) -> None:
    server.start()
    with start_node("peer1", server.url, lease_seconds=LONG) as node:
        subscribe(node, "news", "sport")
        index = server.restart()
        for topic in ("news", "sport"):
            index.post("/create_topic", topic=topic)
        publish(index, "before", topic="sport")
        assert node.post(call, **fields).status == 200
        assert subscribed_to(index) == ["news", "sport"]
        assert pull(node, "sport") == ["before"]


def test_a_subscription_waits_for_its_topic_and_a_pull_finds_it(server: Restartable) -> None:
    server.start()
    with start_node("peer1", server.url, lease_seconds=LONG) as node:
        subscribe(node, "news")
        index = server.restart()
        reply = node.post("/pull_messages", topic="news")
        assert (reply.status, reply.body["code"]) == (404, "topic_not_found")
        index.post("/create_topic", topic="news")
        publish(index, "first")
        assert pull(node) == ["first"]


def test_a_subscription_of_an_earlier_node_is_kept_from_its_first_pull_on(server: Restartable) -> None:
    index = server.start()
    index.subscriber("peer1", "news")
    with start_node("peer1", server.url, lease_seconds=LONG) as node:
        assert pull(node) == []
        index = server.restart()
        index.post("/create_topic", topic="news")
        publish(index, "again")
        assert pull(node) == ["again"]


def test_an_ended_subscription_stays_ended_after_a_restart(server: Restartable) -> None:
    server.start()
    with start_node("peer1", server.url, lease_seconds=LONG) as node:
        subscribe(node, "news", "sport")
        assert node.post("/unsubscribe", topic="news").status == 200
        node.delete("/delete_topic", topic="sport")
        assert node.post("/pull_messages", topic="sport").status == 410
        index = server.restart()
        for topic in ("news", "sport"):
            index.post("/create_topic", topic=topic)
        assert node.post("/pull_messages", topic="news").body["code"] == "not_subscribed"
        assert subscribed_to(index) == []


# A server that let the lease run out still has the topics; the subscription goes on where it stood.


def lose_lease(node: Api, index: Api) -> None:
    """Pull a part, lose the lease, and have more published meanwhile."""
    index.subscriber("keeper", "news")
    publish(index, 1, 2, 3)
    assert node.post("/pull_messages", topic="news", max_messages=2).body["messages"] == [1, 2]
    forget(index)
    publish(index, 4, 5)


@pytest.mark.parametrize("call", ["/pull_messages", "/register_peer_node"])
def test_after_a_lost_lease_nothing_is_lost_or_repeated(index: Api, call: str) -> None:
    with start_node("peer1", index.url, lease_seconds=LONG) as node:
        subscribe(node, "news")
        lose_lease(node, index)
        messages = pull(node) if call == "/pull_messages" else node.post(call) and pull(node)
        assert messages == [3, 4, 5]
        assert node.events() == ["registered", "lease_lost"][: 1 if call == "/pull_messages" else 2]


def test_the_renewal_restores_what_the_lost_lease_took(index: Api) -> None:
    with start_node("peer1", index.url, lease_seconds=SHORT) as node:
        subscribe(node, "news")
        lose_lease(node, index)
        eventually(lambda: subscribed_to(index) == ["news"])
        assert pull(node) == [3, 4, 5]


def test_a_topic_deleted_while_the_lease_was_lost_is_noted_and_forgotten(index: Api) -> None:
    with start_node("peer1", index.url, lease_seconds=LONG) as node:
        subscribe(node, "news", "sport")
        forget(index)
        index.delete("/delete_topic", topic="news")
        assert pull(node, "sport") == []
        assert node.post("/pull_messages", topic="news").body["code"] == "topic_deleted"
        index.post("/create_topic", topic="news")
        assert node.post("/pull_messages", topic="news").body["code"] == "not_subscribed"


# Unregistered by the application


def test_an_unregistered_peer_stays_so_until_it_registers_through_its_node(index: Api) -> None:
    with start_node("peer1", index.url, lease_seconds=SHORT) as node:
        subscribe(node, "news")
        assert node.post("/unregister_peer_node").status == 200
        index.post("/register_peer_node", peer_id="witness", lease_seconds=2 * SHORT)
        eventually(lambda: peer(index, "witness") is None)
        assert node.post("/pull_messages", topic="news").body["code"] == "peer_not_found"
        assert node.get("/readyz").status == 503
        assert peer(index) is None
        assert node.post("/register_peer_node").body["created"] is True
        assert node.get("/readyz").status == 200
        assert subscribed_to(index) == []
        assert node.events() == ["registered", "unregistered", "registered"]


def test_who_unregisters_after_its_lease_ran_out_stays_so(index: Api) -> None:
    with start_node("peer1", index.url, lease_seconds=SHORT) as node:
        index.post("/unregister_peer_node", peer_id="peer1")
        assert node.post("/unregister_peer_node").status in (200, 404)  # 200 where a renewal came between
        index.post("/register_peer_node", peer_id="witness", lease_seconds=2 * SHORT)
        eventually(lambda: peer(index, "witness") is None)
        assert peer(index) is None
        assert node.get("/readyz").status == 503


def test_a_waiting_pull_ends_when_its_node_stops(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node, "news")
        waiting = node.in_background("POST", "/pull_messages", topic="news", wait=60)
        eventually(lambda: index.get("/stats").body["stats"]["waiting_pulls"] == 1)
    assert waiting.result(DEADLINE).body["code"] in ("peer_not_found", "index_unreachable")
