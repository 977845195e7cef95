"""The load generator against a real server."""

import pytest

from benchmarks.load import Caller, Connection, ConnectionBroken, generate, prepare, size_of_answer
from tests.support.harness import Api, free_port


def test_every_answer_is_counted_under_its_call(index: Api) -> None:
    create = [prepare("create_topic", {"topic": f"topic{n}"}, expected=b'"created":true') for n in range(3)]
    query = prepare("query_peers", {"topic": "topic0"}, "GET", b'"peers":[]')
    load = generate([Caller(index.url, [*create, query]), Caller(index.url, [prepare("livez", method="GET")] * 5)])
    assert {call: len(latencies) for call, latencies in load.latencies.items()} == {
        "create_topic": 3,
        "query_peers": 1,
        "livez": 5,
    }
    assert not load.errors
    assert load.seconds > 0
    assert [topic["topic"] for topic in index.get("/topics").body["topics"]] == ["topic0", "topic1", "topic2"]


def test_an_error_and_an_answer_that_was_not_expected_are_errors(index: Api) -> None:
    missing = prepare("query_peers", {"topic": "missing"}, "GET")
    strange = prepare("livez", method="GET", expected=b"Dead.")
    load = generate([Caller(index.url, [missing, strange])])
    assert load.errors == {"query_peers": 1, "livez": 1}
    assert b"topic_not_found" in load.first_error
    assert not load.latencies


def test_a_large_answer_is_received_whole(index: Api) -> None:
    index.subscriber("peer1", "news")
    messages = ["x" * 1000] * 500
    publish = prepare("publish", {"topic": "news", "messages": messages}, expected=b'"count":500')
    pull = prepare("pull_messages", {"peer_id": "peer1", "topic": "news"}, expected=b'"remaining":0')
    load = generate([Caller(index.url, [publish, pull, prepare("livez", method="GET")])])
    assert not load.errors


def test_a_server_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConnectionBroken, match="cannot be reached"):
        Connection(f"http://127.0.0.1:{free_port()}")


def test_the_size_of_an_answer_is_known_once_its_head_is_whole() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    assert [size_of_answer(answer[:-4]), size_of_answer(answer[:-2]), size_of_answer(answer)] == [0, 40, 40]
    with pytest.raises(ConnectionBroken, match="how long"):
        size_of_answer(b"HTTP/1.1 200 OK\r\n\r\n")
