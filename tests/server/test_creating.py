"""Many topics are created in one call: all, or none if one is refused."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from tests.support.harness import Api, Process, in_background, start_index, start_node

MANY = 1300
"""More topics than are created in one step."""
SIZES = pytest.mark.parametrize("size", [3, MANY], ids=["few", "many"])


@pytest.fixture(params=["server", "node"])
def api(request: pytest.FixtureRequest, index: Api) -> Iterator[Api]:
    """The indexing server, and a node that forwards to it."""
    if request.param == "server":
        yield index
    else:
        with start_node("peer1", index.url) as node:
            yield node


def names(size: int, prefix: str = "topic") -> list[str]:
    return [f"{prefix}-{number}" for number in range(size)]


def topics(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/topics", limit=1000).body["topics"]
    return found


def create(api: Api, topics: list[Any], **options: Any) -> tuple[int, dict[str, Any]]:
    reply = api.post("/create_topics", topics=topics, **options)
    return reply.status, reply.body


@SIZES
def test_each_is_told_whether_it_is_new(api: Api, size: int) -> None:
    known = [f"topic-{size - 1}", "topic-1"]
    for name in known:
        api.post("/create_topic", topic=name)
        api.post("/publish", topic=name, message=1)
    status, body = create(api, names(size))
    assert (status, body["created"], body["existed"]) == (200, size - 2, known[::-1])
    assert body["message"].endswith(" created. 2 existed; they keep their messages.")
    assert all(api.get("/messages", topic=name).body["messages"] == [1] for name in known)
    assert create(api, names(size))[1]["created"] == 0


@SIZES
def test_a_name_that_comes_twice_counts_once(api: Api, size: int) -> None:
    said = {"message": f"{size} topics are created.", "created": size, "existed": []}
    assert create(api, names(size) * 2) == (200, said)


@SIZES
@pytest.mark.parametrize("wrong", ["a b", "-x", "", "x\n", "ü", "x" * 129, 7, None])
def test_one_that_is_no_name_refuses_all_with_its_place(api: Api, size: int, wrong: object) -> None:
    status, body = create(api, [*names(size), wrong, "good"])
    assert (status, body["code"]) == (400, "bad_request")
    assert body["message"].endswith(f"- at $.topics[{size}]")
    assert topics(api) == []


@SIZES
def test_one_that_exists_with_other_options_refuses_all(api: Api, size: int) -> None:
    last = names(size)[-1]
    api.post("/create_topic", topic=last, max_messages=5)
    status, body = create(api, names(size), max_messages=6)
    assert (status, body["code"]) == (409, "topic_exists")
    assert f"'{last}'" in body["message"]
    assert [topic["topic"] for topic in topics(api)] == [last]
    assert create(api, names(size))[0] == 200, "options that are not named are those of the topic"


@pytest.mark.parametrize("limit", [2, MANY - 1])
def test_more_than_there_may_be_are_refused(limit: int) -> None:
    with start_index(max_topics=limit) as index:
        assert create(index, ["topic-0"])[0] == 200
        status, body = create(index, names(limit + 1))
        assert (status, body["code"]) == (429, "too_many_topics")
        assert body["message"] == (
            f"1 topics exist, and the server takes at most {limit}: there is no room for {limit} more."
        )
        assert len(topics(index)) == 1
        assert create(index, names(limit))[0] == 200


def test_all_have_the_options_of_the_call(api: Api) -> None:
    options = {"max_messages": 7, "overflow": "drop_oldest", "max_age": 60.0, "history": 3}
    assert create(api, names(3), **options)[0] == 200
    assert [{name: topic[name] for name in options} for topic in topics(api)] == [options] * 3


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({}, "missing required field topics - at $"),
        ({"topics": []}, "length >= 1 - at $.topics"),
        ({"topics": "news"}, "Expected array, got str - at $.topics"),
        ({"topics": [{"topic": "news"}]}, "Expected str, got object - at $.topics[0]"),
        ({"topics": ["news"], "max_messages": 0}, "at $.max_messages"),
        ({"topics": ["news"], "max_messages": 1_000_001}, "the server's own limit - at $.max_messages"),
        ({"topics": ["news"], "topic": "news"}, "unknown field topic - at $"),
        ({"topics": ["n"] * 100_001}, "length <= 100000 - at $.topics"),
        ({"topics": ["n"] * 300_000}, "length <= 100000 - at $.topics"),
    ],
    ids=count(),
)
def test_a_wrong_request_says_what_is_wrong(api: Api, fields: dict[str, Any], fault: str) -> None:
    reply = api.post("/create_topics", **fields)
    assert (reply.status, reply.body["code"]) == (400, "bad_request")
    assert fault in reply.body["message"]
    assert topics(api) == []


def test_an_unknown_creator_refuses_all(index: Api) -> None:
    for size in (3, MANY):
        assert create(index, names(size), peer_id="nobody")[1]["code"] == "peer_not_found"
    assert topics(index) == []


def test_messages_of_the_new_topics_are_delivered(api: Api) -> None:
    create(api, names(MANY))
    api.subscriber("peer1", "topic-1299")
    api.post("/publish", topic="topic-1299", message="hello")
    assert api.post("/pull_messages", peer_id="peer1", topic="topic-1299").body["messages"] == ["hello"]


def test_two_calls_at_once_create_each_topic_once(index: Api) -> None:
    calls = [in_background(lambda: create(Api(index.url), names(MANY * 10))) for _ in range(3)]
    bodies = [call.result()[1] for call in calls]
    assert sum(body["created"] for body in bodies) == MANY * 10
    assert all(body["created"] + len(body["existed"]) == MANY * 10 for body in bodies)


def test_many_topics_are_there_after_a_kill(run: Callable[..., Process], tmp_path: Path) -> None:
    options = ("indexing_server.py", "--port", "0", "--data-dir", str(tmp_path / "data"))
    server = run(*options)
    api = Api(server.urls()[0])
    assert create(api, names(MANY * 10), history=5)[0] == 200
    api.delete("/delete_topic", topic="topic-3")
    api.post("/create_topic", topic="topic-3")
    api.subscriber("a", "topic-3")
    api.post("/publish", topic="topic-3", message=1)
    assert api.post("/pull_messages", peer_id="a", topic="topic-3").body["messages"] == [1]
    server.signal(SIGKILL)
    server.finish()
    api = Api(run(*options).urls()[0])
    assert api.get("/stats").body["stats"]["topics"] == MANY * 10
    assert create(api, names(MANY * 10 + 1))[1]["created"] == 1
    assert api.get("/topics", matching="topic-77").body["topics"][0]["history"] == 5
