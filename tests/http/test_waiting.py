"""A pull that waits is answered as soon as what it waits for happens, or can no longer happen."""

from concurrent import futures
from functools import partial
from typing import Any

import pytest

from tests.support.endpoints import prepare
from tests.support.harness import Api, Reply, eventually, start_index
from tests.support.servers import WAYS, serve

PEER_AND_TOPIC = {"peer_id": "peer1", "topic": "news"}
WAKERS: dict[str, tuple[str, str, dict[str, Any], int, dict[str, Any]]] = {
    "a message": (
        "POST",
        "/publish",
        {"topic": "news", "message": "text"},
        200,
        {"messages": ["text"], "offsets": [0]},
    ),
    "the end of the topic": ("DELETE", "/delete_topic", {"topic": "news"}, 410, {"code": "topic_deleted"}),
    "the end of the subscription": ("POST", "/unsubscribe", PEER_AND_TOPIC, 404, {"code": "not_subscribed"}),
    "the end of the peer": ("POST", "/unregister_peer_node", {"peer_id": "peer1"}, 404, {"code": "peer_not_found"}),
}


def waiting(api: Api, pulls: int) -> bool:
    return bool(api.get("/stats").body["stats"]["waiting_pulls"] == pulls)


def hold(api: Api, wait: float = 60, pulls: int = 1) -> "futures.Future[Reply]":
    """A pull that waits already, the last of so many."""
    held = api.in_background("POST", "/pull_messages", **PEER_AND_TOPIC, wait=wait)
    eventually(lambda: waiting(api, pulls))
    return held


@pytest.mark.parametrize("waker", WAKERS)
def test_a_waiting_pull_is_woken_by(api: Api, waker: str) -> None:
    method, path, fields, status, answer = WAKERS[waker]
    prepare(api)
    held = hold(api)
    assert api.send(method, path, json=fields).status == 200
    reply = held.result()
    assert reply.status == status
    assert reply.body.items() >= answer.items()
    assert waiting(api, 0)


def test_one_message_wakes_one_of_two_pulls_of_a_peer(api: Api) -> None:
    prepare(api)
    held = [hold(api, pulls=1), hold(api, pulls=2)]
    api.post("/publish", topic="news", message="one")
    woken, still_waiting = futures.wait(held, return_when=futures.FIRST_COMPLETED)
    assert [pull.result().body["messages"] for pull in woken] == [["one"]]
    assert waiting(api, 1)
    api.post("/publish", topic="news", message="two")
    assert [pull.result().body["messages"] for pull in still_waiting] == [["two"]]


def test_a_pull_does_not_wait_for_a_message_that_is_there(api: Api) -> None:
    prepare(api)
    api.post("/publish", topic="news", message="text")
    assert api.post("/pull_messages", **PEER_AND_TOPIC, wait=60).body["messages"] == ["text"]


def test_a_pull_that_waited_in_vain_is_empty(api: Api) -> None:
    prepare(api)
    reply = api.post("/pull_messages", **PEER_AND_TOPIC, wait=0.01)
    assert (reply.status, reply.body["messages"], reply.body["offsets"]) == (200, [], [])


def test_a_pull_is_refused_while_as_many_as_may_are_waiting(way: str) -> None:
    with serve(way, max_waiting=1) as api:
        prepare(api)
        held = hold(api)
        assert api.post("/pull_messages", **PEER_AND_TOPIC, wait=60).body["code"] == "too_many_waiting"
        assert api.post("/pull_messages", **PEER_AND_TOPIC).status == 200
        api.post("/publish", topic="news", message="text")
        assert held.result().body["messages"] == ["text"]


def test_other_calls_are_served_while_pulls_wait(api: Api) -> None:
    prepare(api)
    held = [hold(api, pulls=number + 1) for number in range(20)]
    assert api.get("/livez").status == 200
    api.delete("/delete_topic", topic="news")
    assert sorted({pull.result().status for pull in held}) == [404, 410]


@pytest.mark.parametrize("server", [start_index, *(partial(serve, way) for way in WAYS)])
def test_a_waiting_pull_is_answered_when_the_server_stops(server: Any) -> None:
    with server() as api:
        prepare(api)
        held = hold(api)
    reply = held.result()
    assert (reply.status, reply.body["messages"]) == (200, [])
    assert reply.body["message"].endswith("The server is stopping.")
