"""The publisher and the time of each message, as they are asked for over HTTP."""

import time
from collections.abc import Iterator

import pytest

from tests.support.harness import Api, eventually, start_index, start_node
from tests.support.streams import Reader


@pytest.fixture(params=["server", "node"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """Peer `a`, with the topic `news`, straight at the server or through its node."""
    with start_index() as index:
        index.subscriber("a", "news")
        if request.param == "server":
            yield index
        else:
            with start_node("a", index.url) as node:
                yield node


def test_a_pull_tells_who_published_and_when_if_it_is_asked_to(api: Api) -> None:
    before = time.time()
    api.post("/publish", topic="news", messages=[1, 2], peer_id="a")
    after = time.time()
    pulled = api.post("/pull_messages", topic="news", peer_id="a", details=True).body
    assert (pulled["messages"], pulled["publishers"]) == ([1, 2], ["a", "a"])
    assert all(before - 0.01 <= published_at <= after + 0.01 for published_at in pulled["published_at"])
    shown = api.get("/messages", topic="news", details="true").body
    assert {name: pulled[name] for name in ("publishers", "published_at")}.items() <= shown.items()


def test_a_pull_that_waited_tells_it_too(api: Api) -> None:
    waiting = api.in_background("POST", "/pull_messages", topic="news", peer_id="a", wait=20, details=True)
    eventually(lambda: api.get("/stats").body["stats"]["waiting_pulls"] == 1)
    api.post("/publish", topic="news", message=1, peer_id="a")
    assert waiting.result().body["publishers"] == ["a"]


@pytest.mark.parametrize("message", [{"n": 1}, "x" * 200_000], ids=["small", "large"])
def test_a_stream_tells_it_with_each_message(api: Api, message: object) -> None:
    api.post("/subscribe", topic="news", peer_id="a", ack="explicit")
    api.post("/publish", topic="news", message=message, peer_id="a")
    (published_at,) = api.get("/messages", topic="news", details="true").body["published_at"]
    with Reader(api, peer_id="a", topic="news", details="true") as reader:
        (event,) = reader.events(1)
    about = {"offset": 0, "attempt": 1, "publisher": "a", "published_at": published_at}
    assert (event.number, event.data) == (0, {"message": message, **about})


def test_nobody_is_named_where_nobody_was(index: Api) -> None:
    index.subscriber("a", "news")
    index.post("/publish", topic="news", message=1)
    index.post("/publish", topic="news", message=2, peer_id="a")
    assert index.get("/messages", topic="news", details="true").body["publishers"] == [None, "a"]


def test_nothing_is_told_unasked(api: Api) -> None:
    api.post("/publish", topic="news", message=1, peer_id="a")
    assert "publishers" not in api.get("/messages", topic="news").body
    pulled = api.post("/pull_messages", topic="news", peer_id="a").body
    assert list(pulled) == ["message", "messages", "offsets", "next_offset", "remaining", "missed"]


def test_messages_in_flight_are_listed(api: Api) -> None:
    api.post("/subscribe", topic="news", peer_id="a", ack="explicit", ack_deadline=30)
    api.post("/publish", topic="news", messages=[1, 2])
    before = time.time()
    api.post("/pull_messages", topic="news", peer_id="a")
    listed = api.get("/in_flight", topic="news", peer_id="a").body
    assert listed["message"] == "2 messages in flight."
    assert [(each["offset"], each["holder"], each["attempt"]) for each in listed["in_flight"]] == [
        (0, "a", 1),
        (1, "a", 1),
    ]
    for each in listed["in_flight"]:
        assert before - 0.01 <= each["since"] <= time.time() + 0.01
        assert each["due"] - each["since"] == pytest.approx(30.0, abs=0.01)
    api.post("/nack_messages", topic="news", peer_id="a", offsets=[0])
    (waiting,) = api.get("/in_flight", topic="news", peer_id="a", limit=1).body["in_flight"]
    assert waiting["due"] is None
    assert [each["offset"] for each in api.get("/in_flight", topic="news", peer_id="a", after=0).body["in_flight"]] == [
        1
    ]


def test_a_queue_must_be_named(index: Api) -> None:
    index.subscriber("a", "news")
    assert (
        index.get("/in_flight", topic="news")
        .body["message"]
        .startswith("Object missing required field group (or peer_id)")
    )
    assert index.get("/in_flight", topic="news", group="g").body["code"] == "not_subscribed"


def test_messages_are_shown_from_an_offset_on(api: Api) -> None:
    api.post("/publish", topic="news", messages=[0, 1, 2, 3], peer_id="a")
    shown = api.get("/messages", topic="news", limit=2, **{"from": 1}).body
    assert (shown["messages"], shown["offsets"], shown["first_offset"]) == ([1, 2], [1, 2], 0)
    assert shown["message"] == "2 messages of topic 'news' from offset 1 on."
    refused = api.get("/messages", topic="news", **{"from": 4})
    assert (refused.status, refused.body["code"]) == (400, "bad_request")
    assert refused.body["message"] == "Topic 'news' has no messages from offset 4 on yet - at $.from"
