"""Large requests and large answers are the same as small ones, though they are done in pieces."""

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from peerbus.http.listener import bind
from peerbus.server import IndexingServer, ServerOptions
from tests.support.harness import Api, Process, in_background, serving
from tests.support.streams import Reader

SUBSCRIPTION: dict[str, Any] = {"peer_id": "peer1", "topic": "news"}
MANY = 25_000
"""Messages of a batch that is copied in more than two steps."""
LARGE = 1 << 20
READERS = 20


@pytest.fixture
def server() -> IndexingServer:
    return IndexingServer(bind("127.0.0.1", 0), ServerOptions())


@pytest.fixture
def api(server: IndexingServer) -> Iterator[Api]:
    for api in serving(server):
        api.subscriber("peer1", "news")
        yield api


def publish(api: Api, messages: list[Any]) -> Any:
    answer = api.post("/publish", topic="news", messages=messages)
    assert answer.status == 200, answer.body
    return answer.body


@pytest.mark.parametrize("size", [1, 100, 2000, LARGE], ids=str)
@pytest.mark.parametrize("ack", ["auto", "explicit"])
def test_a_pull_has_the_messages_as_published_however_many_bytes_they_have(api: Api, ack: str, size: int) -> None:
    api.post("/subscribe", **SUBSCRIPTION, ack=ack)
    sent = [f"{number}:é{'x' * size}" for number in range(min(10_000, 12 * LARGE // size))]
    publish(api, sent)
    shown = api.get("/messages", topic="news", limit=1000, max_bytes=16 * LARGE).body
    assert shown["messages"] == sent[-1000:]
    assert shown["offsets"] == [*range(len(sent))][-1000:]
    pulled = api.post("/pull_messages", **SUBSCRIPTION, max_messages=10_000).body
    assert pulled["messages"] == sent
    assert pulled["offsets"] == [*range(len(sent))]
    assert pulled.get("attempts") == ([1] * len(sent) if ack == "explicit" else None)


def test_a_message_that_looks_like_an_answer_stays_a_message(api: Api) -> None:
    sent = [{"messages": []}, '"messages":[]', "x" * LARGE, {"messages": []}]
    publish(api, sent)
    assert api.post("/pull_messages", **SUBSCRIPTION).body["messages"] == sent


def test_requests_behind_a_large_answer_are_answered_in_their_order(api: Api) -> None:
    publish(api, ["x" * LARGE] * 3)
    where = urlsplit(api.url)
    asked = f"GET /messages?topic=news&max_bytes={4 * LARGE} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode()
    last = f"GET /livez HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n\r\n".encode()
    with closing(socket.create_connection((where.hostname, where.port))) as connection:
        connection.sendall(asked * 2 + last)
        received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    _, one, two, three = received.split(b"HTTP/1.1 200 OK\r\n")
    assert [json.loads(each.partition(b"\r\n\r\n")[2])["message"] for each in (one, two, three)] == [
        "The last 3 messages of topic 'news'.",
        "The last 3 messages of topic 'news'.",
        "Alive.",
    ]


def test_readers_that_do_not_read_take_no_memory_for_their_answers(run: Callable[..., Process]) -> None:
    process = run("indexing_server.py", "--port", "0")
    api = Api(process.urls()[0])
    api.subscriber("peer1", "news")
    publish(api, ["x" * LARGE] * 8)
    where = urlsplit(api.url)
    asked = f"GET /messages?topic=news&max_bytes={16 * LARGE} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode()
    before = resident(process)
    with ExitStack() as stack:
        for _ in range(READERS):
            reader = stack.enter_context(closing(socket.create_connection((where.hostname, where.port))))
            reader.sendall(asked)
            assert reader.recv(1).startswith(b"H")
        assert api.get("/livez").status == 200
        assert resident(process) - before < READERS * 8 * 1024 / 4
    api.close()


def resident(process: Process) -> int:
    """The resident size of a process, in KiB."""
    return int(subprocess.check_output(["/bin/ps", "-o", "rss=", "-p", str(process.pid)]))


def test_a_large_batch_is_published_in_one_piece(api: Api) -> None:
    batch = in_background(lambda: publish(Api(api.url), [f"batch {number}" for number in range(MANY)]))
    singles = [publish(api, [f"single {number}"])["offset"] for number in range(200)]
    done = batch.result()
    assert done["count"] == MANY
    own = range(done["offset"], done["offset"] + MANY)
    assert not any(offset in own for offset in singles)
    messages: list[str] = []
    while len(messages) < MANY + 200:
        messages += api.post("/pull_messages", **SUBSCRIPTION, max_messages=10_000).body["messages"]
    assert messages[done["offset"] : done["offset"] + MANY] == [f"batch {number}" for number in range(MANY)]


def test_a_large_batch_with_one_wrong_message_publishes_nothing(api: Api) -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    answer = api.post("/publish", topic="news", messages=[1] * (MANY - 1) + [deep])
    assert (answer.status, answer.body["code"]) == (400, "bad_request")
    assert answer.body["message"].endswith(f"at $.messages[{MANY - 1}]")
    assert api.post("/pull_messages", **SUBSCRIPTION).body["messages"] == []


def test_a_large_batch_is_published_once_under_its_message_id(api: Api) -> None:
    batch = {"topic": "news", "messages": [1] * MANY, "message_id": "once"}
    first, second = (api.post("/publish", **batch).body for _ in range(2))
    assert (first["offset"], first["duplicate"]) == (0, False)
    assert (second["offset"], second["count"], second["duplicate"]) == (0, MANY, True)


def test_many_named_offsets_are_acknowledged_but_for_the_stale_ones(api: Api) -> None:
    api.post("/subscribe", **SUBSCRIPTION, ack="explicit")
    publish(api, [1] * 5000)
    api.post("/pull_messages", **SUBSCRIPTION, max_messages=4000)
    attempts = [1] * 4500
    attempts[7] = attempts[3999] = 2
    answer = api.post("/ack_messages", **SUBSCRIPTION, offsets=[*range(4500)], attempts=attempts).body
    assert answer["acknowledged"] == 3998
    assert answer["stale"] == [7, 3999, *range(4000, 4500)]
    assert answer["resume_from"] == 7


def test_many_named_offsets_are_extended_but_for_the_stale_ones(api: Api) -> None:
    api.post("/subscribe", **SUBSCRIPTION, ack="explicit")
    publish(api, [1] * 5000)
    api.post("/pull_messages", **SUBSCRIPTION, max_messages=4000)
    answer = api.post("/extend_messages", **SUBSCRIPTION, offsets=[*range(4500)], seconds=60).body
    assert (answer["extended"], answer["stale"], answer["resume_from"]) == (4000, [*range(4000, 4500)], 0)
    assert answer["message"].startswith("4000 messages extended for 60 seconds. 500 stale: ")


def test_nothing_is_extended_where_pulling_acknowledges_and_the_answer_says_so(api: Api) -> None:
    publish(api, [1])
    api.post("/pull_messages", **SUBSCRIPTION)
    answer = api.post("/extend_messages", **SUBSCRIPTION, offsets=[0], seconds=60).body
    assert (answer["extended"], answer["stale"]) == (0, [0])
    assert "This subscription acknowledges by pulling" in answer["message"]


def test_the_many_subscribers_of_a_topic_are_listed_with_their_addresses(server: IndexingServer, api: Api) -> None:
    peers = [f"reader{number}" for number in range(12_000)]
    for peer_id in peers:
        server.broker.register_peer(peer_id, f"http://127.0.0.1:1/{peer_id}" if peer_id.endswith("7") else None)
        server.broker.subscribe(peer_id, "news")
    addresses = {peer_id: f"http://127.0.0.1:1/{peer_id}" for peer_id in peers if peer_id.endswith("7")}
    found = api.get("/query_peers", topic="news").body
    assert found["peers"] == ["peer1", *peers]
    assert found["addresses"] == addresses
    assert api.delete("/delete_topic", topic="news").body["notified"] == list(addresses)


@pytest.mark.parametrize("value", ["x" * LARGE, ["x" * LARGE, 1]], ids=["text", "array"])
@pytest.mark.parametrize("indent", [None, 1], ids=["one line", "several lines"])
def test_a_stream_has_large_messages_among_small_ones(api: Api, value: Any, indent: int | None) -> None:
    sent = ["small", value, value, "small", value]
    body = json.dumps({"topic": "news", "messages": sent}, indent=indent)
    api.send("POST", "/publish", data=body, headers={"Content-Type": "application/json"})
    with Reader(api, **SUBSCRIPTION) as reader:
        assert [(event.number, event.data) for event in reader.events(5)] == [*enumerate(sent)]
        publish(api, ["last"])
        assert [event.data for event in reader.events(1)] == ["last"]
