"""Searching, ranking and looking, as they are asked for over HTTP."""

import pytest

from tests.support.connections import call
from tests.support.harness import Api

NAMES = [f"t{number:04}" for number in range(2100)]
"""More than one look at the broker shows."""


@pytest.fixture
def many(api: Api) -> Api:
    for name in NAMES:
        api.post("/create_topic", topic=name)
    api.post("/register_peer_node", peer_id="a")
    for name, messages in (("t0007", 2), ("t1500", 5), ("t2099", 3)):
        api.post("/subscribe", peer_id="a", topic=name)
        api.post("/publish", topic=name, messages=[1] * messages)
    api.post("/publish", topic="t2000", message=1)
    return api


def names(api: Api, **query: object) -> list[str]:
    return [topic["topic"] for topic in api.get("/topics", **query).body["topics"]]


def test_topics_are_searched_and_ranked_however_many_there_are(many: Api) -> None:
    assert names(many, order="unread", limit=5) == ["t1500", "t2099", "t0007", "t2000", "t0000"]
    assert names(many, matching="99", limit=3) == ["t0099", "t0199", "t0299"]
    assert names(many, matching="99", limit=3, after="t1999") == ["t2099"]
    assert names(many, matching="7", order="unread", limit=1) == ["t0007"]
    assert names(many, matching="none") == []
    assert names(many, limit=2, after="t0099") == ["t0100", "t0101"]


def test_peers_are_searched(api: Api) -> None:
    for number in range(12):
        api.post("/register_peer_node", peer_id=f"p{number:02}")
    found = [peer["peer_id"] for peer in api.get("/peers", matching="1", limit=3, after="p01").body["peers"]]
    assert found == ["p10", "p11"]


def test_the_last_messages_come_as_they_were_published(api: Api) -> None:
    api.post("/create_topic", topic="news")
    call(api, "POST", "/publish", b'{"topic": "news", "messages": [1, 9007199254740993, {"twice": 1, "twice": 2}]}')
    reply = call(api, "GET", "/messages?topic=news&limit=2")
    assert b'"messages":[9007199254740993,{"twice": 1, "twice": 2}],"offsets":[1,2],"first_offset":0' in reply.body
    assert reply.json()["message"] == "The last 2 messages of topic 'news'."


def test_a_huge_message_is_seen_alone(api: Api) -> None:
    api.post("/create_topic", topic="news")
    api.post("/publish", topic="news", messages=["small", "x" * 3_000_000])
    assert api.get("/messages", topic="news").body["offsets"] == [1]


def test_how_far_subscribers_are_is_seen(api: Api) -> None:
    api.subscriber("a", "news")
    api.post("/publish", topic="news", messages=[1, 2])
    (seen,) = api.get("/subscriptions", topic="news").body["subscriptions"]
    assert (seen["queue"], seen["unread"], seen["ack"]) == ("a", 2, "auto")
    assert api.get("/subscriptions", peer_id="none").body["code"] == "peer_not_found"
