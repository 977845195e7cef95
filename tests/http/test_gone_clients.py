"""What is handed to a pull that waits for a client that is gone goes back to the message queue."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import start_member
from tests.support.connections import JSON, Connection, request
from tests.support.harness import DEADLINE, Api, eventually, start_index

NEWS = {"topic": "news"}


@pytest.fixture(params=[start_index, start_member])
def index(request: pytest.FixtureRequest) -> Iterator[Api]:
    with request.param() as index:
        index.subscriber("peer1", "news")
        yield index


def waiting(api: Api, pulls: int) -> bool:
    return bool(api.get("/stats").body["stats"]["waiting_pulls"] == pulls)


def wait_and_go(api: Api, peer_id: str = "peer1", pulls: int = 1) -> None:
    """Begin a pull that waits, the last of so many, and be gone."""
    with Connection(api.url) as connection:
        fields = {"peer_id": peer_id, **NEWS, "wait": 60}
        connection.send(request("POST", "/pull_messages", json.dumps(fields).encode(), JSON))
        eventually(lambda: waiting(api, pulls))


def published_to_who_waits(api: Api, *messages: Any) -> None:
    """Publish, and see that the pulls that waited were answered."""
    assert api.post("/publish", **NEWS, messages=list(messages)).status == 200
    eventually(lambda: waiting(api, 0))


def pulled(api: Api, peer_id: str = "peer1") -> dict[str, Any]:
    body: dict[str, Any] = api.post("/pull_messages", peer_id=peer_id, **NEWS, wait=DEADLINE).body
    return body


def test_it_is_pulled_by_who_comes_next(index: Api) -> None:
    wait_and_go(index)
    published_to_who_waits(index, "one", "two")
    answer = pulled(index)
    assert (answer["messages"], answer["offsets"], answer["missed"]) == (["one", "two"], [0, 1], 0)


def test_with_explicit_acknowledgement_it_comes_again_at_once(index: Api) -> None:
    index.post("/subscribe", peer_id="peer1", **NEWS, ack="explicit", ack_deadline=3600, max_attempts=1)
    wait_and_go(index)
    published_to_who_waits(index, "one")
    answer = pulled(index)
    assert (answer["messages"], answer["attempts"]) == (["one"], [1])


def test_another_of_the_group_gets_it(index: Api) -> None:
    index.post("/unsubscribe", peer_id="peer1", **NEWS)
    index.post("/register_peer_node", peer_id="peer2")
    for peer_id in ("peer1", "peer2"):
        index.post("/subscribe", peer_id=peer_id, **NEWS, group="workers")
    wait_and_go(index)
    waits = index.in_background("POST", "/pull_messages", peer_id="peer2", **NEWS, wait=60)
    eventually(lambda: waiting(index, 2))
    published_to_who_waits(index, "one")
    assert waits.result().body["messages"] == ["one"]


def test_many_that_are_gone_lose_nothing(index: Api) -> None:
    for number in range(10):
        wait_and_go(index, pulls=number + 1)
    published_to_who_waits(index, "one")
    assert pulled(index)["messages"] == ["one"]


def test_what_is_missed_is_told_to_who_comes_next(index: Api) -> None:
    index.delete("/delete_topic", **NEWS)
    index.post("/create_topic", **NEWS, max_messages=2, overflow="drop_oldest")
    index.subscriber("peer1", "news")
    wait_and_go(index)
    published_to_who_waits(index, 1)
    index.post("/publish", **NEWS, messages=[2, 3, 4])
    answer = pulled(index)
    assert answer["missed"] + len(answer["messages"]) == 4


def test_who_is_there_gets_a_whole_answer_on_a_connection_that_is_kept(index: Api) -> None:
    for number in range(3):
        waits = index.in_background("POST", "/pull_messages", peer_id="peer1", **NEWS, wait=60)
        eventually(lambda: waiting(index, 1))
        published_to_who_waits(index, number)
        reply = waits.result()
        assert (reply.status, reply.body["messages"]) == (200, [number])
        assert reply.headers["Content-Type"] == "application/json"
        assert int(reply.headers["Content-Length"]) > 0
        assert "Transfer-Encoding" not in reply.headers
