"""A lost subscription comes back as it was: its options, its group, what it had not acknowledged."""

import signal
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from peerbus.node.app import WORKERS
from tests.support.connections import NotReading, request
from tests.support.harness import DEADLINE, Api, Process, eventually, start_node
from tests.support.servers import Restartable

LARGE = 8 << 20


def subscribe(node: Api, **options: Any) -> None:
    assert node.post("/create_topic", topic="news").status == 200
    assert node.post("/subscribe", topic="news", **options).status == 200


def pull(node: Api, **options: Any) -> tuple[list[Any], list[int] | None]:
    reply = node.post("/pull_messages", topic="news", **options)
    assert reply.status == 200, reply.body
    return reply.body["messages"], reply.body.get("attempts")


def lose_lease(index: Api, *peers: str) -> None:
    """What the end of a lease does at the server."""
    for peer_id in peers:
        assert index.post("/unregister_peer_node", peer_id=peer_id, keep=True).status == 200


def test_after_a_lost_lease_unacknowledged_messages_are_redelivered(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node, ack="explicit", ack_deadline=3600)
        node.post("/publish", topic="news", messages=[0, 1, 2])
        assert pull(node, max_messages=2) == ([0, 1], [1, 1])
        assert node.post("/ack_messages", topic="news", offsets=[0]).body["acknowledged"] == 1
        lose_lease(index, "peer1")
        assert pull(node) == ([1, 2], [2, 1])
        assert node.events() == ["registered"], "the call itself brought the peer back"


def test_a_queue_that_somebody_ended_begins_anew_with_the_oldest_message_kept(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node, ack="explicit")
        node.post("/publish", topic="news", message=0)
        index.post("/unregister_peer_node", peer_id="peer1")
        node.post("/publish", topic="news", message=1)
        assert pull(node) == ([0, 1], [1, 1])
        assert node.events() == ["registered", "lease_lost", "resubscribed"]


def test_a_node_that_stops_and_starts_again_loses_nothing(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node, ack="explicit")
        index.post("/publish", topic="news", messages=list(range(25)))
        assert pull(node, max_messages=5) == ([0, 1, 2, 3, 4], [1] * 5)
        node.post("/ack_messages", topic="news", offsets=[0])
    index.post("/publish", topic="news", messages=list(range(25, 50)))
    with start_node("peer1", index.url) as node:
        assert node.events() == ["registered"]
        subscribe(node, ack="explicit", **{"from": "earliest"})
        assert pull(node) == (list(range(1, 50)), [2] * 4 + [1] * 45)


def test_who_does_not_read_what_was_mended_keeps_nobody_from_being_mended(index: Api) -> None:
    with start_node("peer1", index.url) as node, ExitStack() as clients:
        subscribe(node, group="g")
        for number in range(WORKERS + 1):
            index.post("/publish", topic="news", message="x" * LARGE)
            lose_lease(index, "peer1")
            client = clients.enter_context(NotReading(node.url))
            client.send(request("POST", "/pull_messages", b'{"topic": "news", "wait": 60}'))
            client.head()
            assert node.events().count("resubscribed") == number + 1
        assert node.post("/register_peer_node").status == 200


def test_pulls_that_wait_anew_when_they_were_mended_keep_nobody_waiting(index: Api) -> None:
    pulls = WORKERS + 1

    def all_wait() -> bool:
        return bool(index.get("/stats").body["stats"]["waiting_pulls"] == pulls)

    with start_node("peer1", index.url) as node:
        subscribe(node)
        waiting = [
            node.in_background("POST", "/pull_messages", topic="news", wait=60, max_messages=1) for _ in range(pulls)
        ]
        eventually(all_wait)
        lose_lease(index, "peer1")
        eventually(all_wait)
        assert node.post("/register_peer_node").status == 200
        index.post("/publish", topic="news", messages=list(range(pulls)))
        pulled = [message for pull in waiting for message in pull.result(DEADLINE).body["messages"]]
        assert sorted(pulled) == list(range(pulls))


def test_after_a_restart_the_options_are_the_same(server: Restartable) -> None:
    server.start()
    with start_node("peer1", server.url) as node:
        subscribe(node, ack="explicit")
        node.post("/subscribe", topic="news", max_attempts=1, dead_letter_topic="dead")
        index = server.restart()
        index.post("/create_topic", topic="news")
        index.post("/publish", topic="news", message="new")
        assert pull(node) == (["new"], [1])
        node.post("/nack_messages", topic="news", up_to=0)
        assert [entry["topic"] for entry in index.get("/topics").body["topics"]] == ["dead", "news"]


def test_a_group_that_still_has_members_keeps_its_position(index: Api) -> None:
    with start_node("peer1", index.url) as one, start_node("peer2", index.url) as two:
        for node in (one, two):
            subscribe(node, group="g", ack="explicit", ack_deadline=3600)
        one.post("/publish", topic="news", messages=[0, 1, 2])
        assert pull(one, max_messages=1) == ([0], [1])
        assert pull(two, max_messages=1) == ([1], [1])
        lose_lease(index, "peer1")
        assert pull(one) == ([0, 2], [2, 1]), "0 was given back to the group; 1 is still with peer2"


def test_a_group_that_lost_all_members_goes_on_where_it_stood(index: Api) -> None:
    with start_node("peer1", index.url) as one, start_node("peer2", index.url) as two:
        for node in (one, two):
            subscribe(node, group="g", ack="explicit", ack_deadline=3600)
        one.post("/publish", topic="news", messages=[0, 1, 2])
        assert pull(one, max_messages=1) == ([0], [1])
        one.post("/ack_messages", topic="news", up_to=0)
        lose_lease(index, "peer1", "peer2")
        index.post("/publish", topic="news", message=3)
        assert pull(one, max_messages=2) == ([1, 2], [1, 1])
        assert pull(two) == ([3], [1])


def test_history_that_is_gone_is_counted(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        node.post("/create_topic", topic="news", max_messages=2, overflow="drop_oldest")
        node.post("/subscribe", topic="news")
        lose_lease(index, "peer1")
        index.post("/publish", topic="news", messages=[0, 1])
        index.post("/publish", topic="news", messages=[2, 3])
        reply = node.post("/pull_messages", topic="news")
        assert (reply.body["messages"], reply.body["missed"]) == ([2, 3], 2)


@pytest.mark.parametrize("stopped", ["peer_node.py", "indexing_server.py"])
def test_a_process_that_was_paused_longer_than_the_lease(run: Callable[..., Process], stopped: str) -> None:
    server = run("indexing_server.py", "--port", "0")
    (index_url,) = server.urls()
    peer = run(
        "peer_node.py", "--port", "0", "--index-url", index_url, "--lease-seconds", "0.6", "--index-timeout", "0.5"
    )
    node = Api(peer.urls()[0])
    index = Api(index_url)
    subscribe(node, group="g")
    paused = peer if stopped == "peer_node.py" else server
    paused.signal(signal.SIGSTOP)
    if paused is peer:
        eventually(lambda: index.get("/peers").body["peers"] == [])
        index.post("/publish", topic="news", message="meanwhile")
        paused.signal(signal.SIGCONT)
    else:
        eventually(lambda: "index_lost" in node.events())
        paused.signal(signal.SIGCONT)
        eventually(lambda: node.get("/readyz").status == 200)
        index.post("/publish", topic="news", message="meanwhile")
    assert pull(node, wait=10) == (["meanwhile"], None)
    noted = eventually(lambda: {"lease_lost", "index_back"} & set(node.events()))
    assert noted
    for api in (node, index):
        api.close()


def test_a_subscription_that_the_server_refuses_keeps_no_other_from_coming_back(server: Restartable) -> None:
    server.start()
    with start_node("peer1", server.url) as node:
        for topic in ("first", "second"):
            node.post("/create_topic", topic=topic)
        node.post("/subscribe", topic="first", group="g")
        node.post("/subscribe", topic="second")
        index = server.restart()
        for topic in ("first", "second"):
            index.post("/create_topic", topic=topic)
        index.post("/register_peer_node", peer_id="peer1")
        index.post("/subscribe", peer_id="peer1", topic="first", group="another")
        index.post("/publish", topic="second", message="new")
        assert node.post("/pull_messages", topic="second").body["messages"] == ["new"]
        assert "not_resubscribed" in node.events()
        assert node.get("/readyz").status == 200


def test_acknowledging_automatically_again_is_restored_as_such(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node, ack="explicit", ack_deadline=5)
        node.post("/subscribe", topic="news", ack="auto")
        lose_lease(index, "peer1")
        node.post("/publish", topic="news", message=1)
        assert pull(node) == ([1], None)


def test_a_pull_that_met_a_lost_lease_counts_when_the_lease_is_lost_again(index: Api) -> None:
    with start_node("peer1", index.url) as node:
        subscribe(node)
        for message in (0, 1):
            lose_lease(index, "peer1")
            index.post("/publish", topic="news", message=message)
            assert pull(node) == ([message], None)
