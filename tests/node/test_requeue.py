"""What comes for a caller of a peer node who is gone goes back to the indexing server."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from peerbus.http.event_loop import Loop
from peerbus.node.event_log import EventLog
from peerbus.node.membership import Membership
from peerbus.node.requeue import Requeue
from peerbus.node.server_client import ServerClient
from tests.support.connections import JSON, Connection, request
from tests.support.harness import DEADLINE, Api, eventually, start_node

NEWS = {"topic": "news"}


@pytest.fixture
def node(index: Api) -> Iterator[Api]:
    with start_node("peer1", index.url) as node:
        node.post("/create_topic", **NEWS)
        yield node


def waiting(index: Api, pulls: int) -> bool:
    return bool(index.get("/stats").body["stats"]["waiting_pulls"] == pulls)


def wait_and_go(index: Api, node: Api) -> None:
    """Begin a pull that waits, and be gone."""
    with Connection(node.url) as connection:
        connection.send(request("POST", "/pull_messages", json.dumps(NEWS | {"wait": 60}).encode(), JSON))
        eventually(lambda: waiting(index, 1))


def publish_to_who_waits(index: Api, *messages: object) -> None:
    assert index.post("/publish", **NEWS, messages=messages).status == 200
    eventually(lambda: waiting(index, 0))


@pytest.mark.parametrize("group", [{}, {"group": "workers"}])
def test_it_comes_again(index: Api, node: Api, group: dict[str, str]) -> None:
    node.post("/subscribe", **NEWS, **group)
    wait_and_go(index, node)
    publish_to_who_waits(index, "one", "two")
    body = node.post("/pull_messages", **NEWS, wait=DEADLINE).body
    assert (body["messages"], body["offsets"], body["missed"]) == (["one", "two"], [0, 1], 0)


def test_with_explicit_acknowledgement_it_is_the_same_attempt(index: Api, node: Api) -> None:
    node.post("/subscribe", **NEWS, ack="explicit", ack_deadline=3600, max_attempts=1)
    wait_and_go(index, node)
    publish_to_who_waits(index, "one")
    body = node.post("/pull_messages", **NEWS, wait=DEADLINE).body
    assert (body["messages"], body["attempts"]) == (["one"], [1])


def test_who_loses_its_lease_then_gets_it_still(index: Api, node: Api) -> None:
    node.post("/subscribe", **NEWS)
    wait_and_go(index, node)
    publish_to_who_waits(index, "one")
    eventually(lambda: index.get("/subscriptions", **NEWS).body["subscriptions"][0]["unread"] == 1)
    index.post("/unregister_peer_node", peer_id="peer1")
    assert node.post("/pull_messages", **NEWS, wait=DEADLINE).body["messages"] == ["one"]


def test_what_the_application_rejects_itself_it_gets_after_a_lost_lease(index: Api, node: Api) -> None:
    node.post("/subscribe", **NEWS)
    node.post("/publish", **NEWS, message="one")
    assert node.post("/pull_messages", **NEWS).body["messages"] == ["one"]
    assert node.post("/nack_messages", **NEWS, offsets=[0]).body["rejected"] == 1
    index.post("/unregister_peer_node", peer_id="peer1")
    assert node.post("/pull_messages", **NEWS).body["messages"] == ["one"]


@contextmanager
def requeue(url: str) -> Iterator[tuple[Requeue, EventLog]]:
    loop = Loop("loop")
    client, events, workers = ServerClient(loop, url, DEADLINE, 10), EventLog(), ThreadPoolExecutor(1)
    membership = Membership(client, "peer1", "http://127.0.0.1:1", 60.0, events, 3.0)
    yield Requeue(client, membership, events, workers), events
    workers.shutdown()
    client.close()
    loop.close()


def test_what_others_of_the_group_have_overtaken_is_noted(index: Api) -> None:
    index.subscriber("peer1", "news")
    index.post("/publish", **NEWS, messages=["one", "two"])
    index.post("/pull_messages", peer_id="peer1", **NEWS)
    with requeue(index.url) as (messages, events):
        messages.hand_back("news", b'{"offsets":[0]}')
    assert [event.event for event in events.listing()] == ["undelivered"]
    assert events.listing()[0].message.endswith("are not handed back: Others pulled since.")


def test_what_was_missed_is_noted_for_want_of_somebody_to_tell(index: Api) -> None:
    with requeue(index.url) as (messages, events):
        messages.hand_back("news", b'{"offsets":[],"missed":3}')
    assert [(event.event, event.message[:1]) for event in events.listing()] == [("missed", "3")]


def test_what_the_server_cannot_take_back_is_noted(index: Api) -> None:
    with requeue(index.url) as (messages, events):
        messages.hand_back("news", b'{"offsets":[0]}')
        messages.hand_back("news", b"no pull's answer")
    assert [event.event for event in events.listing()] == ["undelivered"] * 2


def test_who_is_there_gets_it_once(index: Api, node: Api) -> None:
    node.post("/subscribe", **NEWS)
    for number in range(3):
        waits = node.in_background("POST", "/pull_messages", **NEWS, wait=60)
        eventually(lambda: waiting(index, 1))
        publish_to_who_waits(index, number)
        assert waits.result().body["messages"] == [number]
    assert node.post("/pull_messages", **NEWS).body["messages"] == []
    assert "undelivered" not in node.events()
