"""Publishing later, as it is asked for over HTTP: at the indexing server, and through a peer's node."""

from collections.abc import Iterator
from time import time

import pytest

from tests.support.connections import call
from tests.support.harness import DEADLINE, Api, start_index, start_node


@pytest.fixture(params=["index", "node"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """The server, or the node of `a`, which is subscribed to `news`."""
    with start_index() as index, start_node("a", index.url) as node:
        index.subscriber("a", "news")
        yield index if request.param == "index" else node


def pull(api: Api, wait: float = 0.0) -> list[object]:
    messages: list[object] = api.post("/pull_messages", peer_id="a", topic="news", wait=wait).body["messages"]
    return messages


def test_messages_are_published_when_they_are_due(api: Api) -> None:
    later = api.post("/publish", topic="news", messages=["b", "c"], delay=0.2, peer_id="a", message_id="x")
    assert (later.status, later.body) == (
        200,
        {
            "message": "2 messages scheduled for topic 'news', with the id 1.",
            "topic": "news",
            "offset": None,
            "count": 2,
            "duplicate": False,
            "scheduled": 1,
        },
    )
    assert api.post("/publish", topic="news", message="a", at=time() + 0.1).body["scheduled"] == 2
    found: list[object] = []
    while len(found) < 3:
        found += pull(api, DEADLINE / 2)
    assert found == ["a", "b", "c"]
    again = api.post("/publish", topic="news", messages=["b", "c"], delay=0.2, message_id="x").body
    assert (again["duplicate"], again["scheduled"], again["offset"]) == (True, 1, 1)
    assert again["message"] == "Message 'x' was scheduled for topic 'news' before; nothing is published."


def test_an_answer_without_a_delay_has_nothing_new(api: Api) -> None:
    reply = call(api, "POST", "/publish", b'{"topic": "news", "message": 1}')
    assert reply.body == (
        b'{"message":"Message published to topic \'news\'.","topic":"news","offset":0,"count":1,"duplicate":false}'
    )


def test_what_is_scheduled_is_listed_counted_and_cancelled(api: Api) -> None:
    at = round(time()) + 1000
    for number in range(3):
        api.post("/publish", topic="news", message=number, at=at + number, peer_id="a")
    page = api.get("/scheduled", topic="news", limit=2).body
    assert page["message"] == "2 messages scheduled for topic 'news', and more."
    assert page["scheduled"][1] == {
        "id": 2,
        "at": at + 1,
        "count": 1,
        "bytes": 1,
        "peer_id": "a",
        "message_id": None,
        "problem": None,
    }
    rest = api.get("/scheduled", topic="news", after=page["next"]).body
    assert ([entry["id"] for entry in rest["scheduled"]], rest["next"]) == ([3], None)
    assert api.get("/topics").body["topics"][0]["scheduled"] == 3
    assert api.get("/stats").body["stats"]["scheduled"] == 3
    done = api.post("/cancel_scheduled", topic="news", ids=[1, 3, 9], peer_id="a").body
    assert (done["cancelled"], done["unknown"]) == (2, [9])
    assert api.delete("/delete_topic", topic="news").body["discarded"] == 1


def test_a_delay_and_a_time_are_not_both_taken(api: Api) -> None:
    reply = api.post("/publish", topic="news", message=1, delay=1, at=time() + 1)
    assert (reply.status, reply.body["message"]) == (400, "Expected delay or at, got both - at $")


def test_many_ids_are_cancelled_in_one_call(api: Api) -> None:
    api.post("/publish", topic="news", message=1, delay=1000)
    api.post("/publish", topic="news", messages=[2, 3], delay=1000)
    done = api.post("/cancel_scheduled", topic="news", ids=[1, *range(3, 5000), 2, 1]).body
    assert (done["cancelled"], done["unknown"]) == (3, list(range(3, 5000)))
    refused = api.post("/cancel_scheduled", topic="news", ids=[1] * 100_001)
    assert (refused.status, refused.body["message"]) == (400, "Expected array of length <= 100000 - at $.ids")
