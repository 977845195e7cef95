"""At a limit, what takes the place of something of its own is no newcomer."""

from typing import Any

import pytest

from tests.support.harness import eventually, start_index
from tests.support.streams import PING, Reader

FOLLOWED: dict[str, Any] = {"peer_id": "peer1", "topic": "news"}
SECRET = "s" * 32
AGAIN: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any]]] = {
    "registering": (
        "/register_peer_node",
        [{"peer_id": "peer1", "address": "http://127.0.0.1:9"}, {"peer_id": "peer1", "lease_seconds": 60}],
        {"peer_id": "peer2"},
    ),
    "creating": (
        "/create_topic",
        [{"topic": "news"}, {"topic": "news", "max_messages": 1_000_000}],
        {"topic": "other"},
    ),
    "subscribing": (
        "/subscribe",
        [FOLLOWED | {"ack": "explicit"}, FOLLOWED | {"ack": "explicit", "max_attempts": 3}],
        FOLLOWED | {"peer_id": "peer2"},
    ),
    "pushing elsewhere": (
        "/subscribe",
        [
            FOLLOWED | {"ack": "explicit", "push_to": f"http://127.0.0.1:9/{name}", "push_secret": SECRET}
            for name in ("first", "second")
        ],
        FOLLOWED | {"peer_id": "peer2"},
    ),
}


@pytest.mark.parametrize("call", AGAIN)
def test_a_call_that_is_repeated_is_not_one_too_many(call: str) -> None:
    path, repeated, newcomer = AGAIN[call]
    with start_index(max_peers=1, max_topics=1, max_subscriptions=1) as index:
        index.subscriber("peer1", "news")
        for fields in repeated * 2:
            reply = index.post(path, **fields)
            assert reply.status == 200, reply.body
        assert index.post(path, **newcomer).status in (404, 429)


def test_a_peer_that_left_and_came_back_has_its_place_again() -> None:
    with start_index(max_peers=1, max_subscriptions=1) as index:
        for _ in range(3):
            index.subscriber("peer1", "news")
            assert index.post("/unsubscribe", **FOLLOWED).status == 200
            assert index.post("/unregister_peer_node", peer_id="peer1").status == 200


def test_a_stream_that_comes_back_waits_in_the_place_of_the_one_before() -> None:
    with start_index(max_waiting=1) as index:
        index.subscriber("peer1", "news")
        index.post("/publish", topic="news", messages=["one"])
        with Reader(index, **FOLLOWED) as before:
            assert before.messages(1) == ["one"]
            eventually(lambda: index.get("/stats").body["stats"]["waiting_pulls"] == 1)
            with Reader(index, 0, **FOLLOWED) as reader:
                assert reader.next().name == PING
                index.post("/publish", topic="news", messages=["two"])
                assert reader.messages(1) == ["two"]
