"""Clients that send bodies and heads slowly, against a real server, and when they are cut off."""

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial

import pytest

from peerbus.http.server import BODIES
from peerbus.http.timeouts import BodyMemory, Claim, Timeouts
from tests.support.connections import JSON, Connection, call, request
from tests.support.endpoints import prepare
from tests.support.harness import DEADLINE, MAX_BODY, Api, eventually, in_background, start_index
from tests.support.servers import serve

THREADS = 8
BODY = b'{"topic": "half"}'
HALVES = {
    "declared": request("POST", "/create_topic", BODY, length=100),
    "chunked": request("POST", "/create_topic", b"", {"Transfer-Encoding": "chunked", **JSON}).replace(
        b"Content-Length: 0\r\n", b""
    )
    + b"%x\r\n%s\r\n" % (len(BODY), BODY),
    "asking first": request("POST", "/create_topic", b"", {"Expect": "100-continue", **JSON}, 100),
    "with DELETE": request("DELETE", "/delete_topic", BODY, length=100),
    "with GET": request("GET", "/query_peers", BODY, length=100),
    "large": request("POST", "/create_topic", BODY, length=MAX_BODY),
}


def start(timeouts: Timeouts, host: str = "127.0.0.1") -> AbstractContextManager[Api]:
    """All calls, on few threads."""
    return serve("dispatch", threads=THREADS, timeouts=timeouts, host=host)


def cut_off(connection: Connection) -> bool:
    """Whether a connection was closed, waited for."""
    return b" 200 " not in connection.received()


@pytest.mark.parametrize("name", HALVES)
def test_a_client_that_does_not_end_a_body_is_cut_off_and_nothing_is_done(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with start(Timeouts(body=0.0)) as api:
        with Connection(api.url) as slow:
            slow.send(HALVES[name])
            assert cut_off(slow)
        assert call(api, "GET", "/topics").json()["topics"] == []
    (line,) = eventually(
        lambda: [record.getMessage() for record in caplog.records if " 400 bad_request" in record.getMessage()]
    )
    assert line.endswith("The body came too slowly, or not whole: the connection is closed.")
    assert all(record.levelno <= logging.INFO for record in caplog.records)


@pytest.mark.parametrize("host", ["::1", "::"])
def test_a_client_that_does_not_end_a_body_is_cut_off_over_ipv6_too(host: str) -> None:
    with start(Timeouts(body=0.0), host) as api, Connection(api.url) as slow:
        slow.send(HALVES["declared"])
        assert cut_off(slow)


def test_a_head_is_answered_without_its_body() -> None:
    with start(Timeouts()) as api:
        for _ in range(3 * THREADS):
            with Connection(api.url) as slow:
                slow.send(request("HEAD", "/topics", b"half", length=100))
                assert slow.reply("HEAD").status == 200
        assert call(api, "GET", "/livez").status == 200


@pytest.mark.parametrize("name", HALVES)
def test_three_times_as_many_slow_senders_as_threads_do_not_stop_the_server(name: str) -> None:
    with start(Timeouts()) as api, ExitStack() as stack:
        prepare(api)
        held = api.in_background("POST", "/pull_messages", peer_id="peer1", topic="news", wait=60)
        eventually(lambda: api.get("/stats").body["stats"]["waiting_pulls"])
        for _ in range(3 * THREADS):
            stack.enter_context(Connection(api.url)).send(HALVES[name])
        assert api.post("/publish", topic="news", message="text").status == 200
        assert held.result().body["messages"] == ["text"]
        assert [topic["topic"] for topic in api.get("/topics").body["topics"]] == ["dead", "news"]


def test_slow_senders_that_come_back_when_they_are_cut_off_do_not_stop_the_server() -> None:
    with start(Timeouts(body=1.0)) as api:
        prepare(api)
        enough = threading.Event()

        def attack() -> None:
            while not enough.is_set():
                with Connection(api.url) as slow:
                    slow.send(HALVES["declared"])
                    assert cut_off(slow)

        attackers = [in_background(attack) for _ in range(2 * THREADS)]
        assert [api.post("/publish", topic="news", message=number).status for number in range(5)] == [200] * 5
        enough.set()
        for attacker in attackers:
            attacker.result(DEADLINE)


def test_an_indexing_server_outlasts_more_slow_senders_than_it_has_threads() -> None:
    with start_index() as api, ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(Connection(api.url)).send(HALVES["declared"])
        assert api.post("/create_topic", topic="news").status == 200


# Heads


def test_a_client_that_does_not_end_a_head_is_cut_off() -> None:
    with start(Timeouts(head=0.1)) as api:
        for sent in (b"", b"POST /publ", HALVES["declared"][:-200]):
            with Connection(api.url) as slow:
                slow.send(sent)
                assert cut_off(slow)
        assert call(api, "GET", "/livez").status == 200


def test_a_kept_connection_may_be_idle_for_a_time_of_its_own() -> None:
    with start(Timeouts(head=DEADLINE, idle=0.1)) as api, Connection(api.url) as idle:
        idle.send(request("GET", "/livez"))
        assert idle.reply().status == 200
        assert cut_off(idle)


def test_a_kept_connection_that_begins_a_head_has_the_time_of_a_head() -> None:
    with start(Timeouts(head=0.1, idle=2 * DEADLINE)) as api, Connection(api.url) as slow:
        slow.send(request("GET", "/livez"))
        assert slow.reply().status == 200
        slow.send(b"POST /publ")
        assert cut_off(slow)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/livez", {"X-Long": "x" * (1 << 20)}),
        ("GET", "/livez", {f"X-{number}": "x" for number in range(10_000)}),
        ("GET", f"/livez?{'x' * (1 << 20)}", {}),
        ("x" * (1 << 20), "/livez", {}),
    ],
    ids=["a long header", "many headers", "a long query", "a long method"],
)
def test_a_head_that_is_too_large_is_refused(method: str, path: str, headers: dict[str, str]) -> None:
    with start(Timeouts()) as api:
        with Connection(api.url) as connection:
            connection.send_what_is_taken(request(method, path, b"", headers))
            assert cut_off(connection)
        assert call(api, "GET", "/livez").status == 200


def test_a_head_is_taken_up_to_the_limit() -> None:
    with start(Timeouts()) as api:
        assert call(api, "GET", "/livez", headers={"X-Long": "x" * 60_000}).status == 200


# The memory of large bodies


@pytest.fixture
def events() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def claims(events: asyncio.AbstractEventLoop, limit: int, *sizes: int) -> tuple[BodyMemory, list[Claim], list[int]]:
    """Claims on the memory of a loop that is not running, and the numbers of those that were granted."""
    granted: list[int] = []
    memory = BodyMemory(events, limit)
    return (
        memory,
        [memory.claim(size, partial(granted.append, number), lambda: None) for number, size in enumerate(sizes)],
        granted,
    )


def test_claims_are_granted_in_their_order_as_memory_is_free(events: asyncio.AbstractEventLoop) -> None:
    memory, claimed, granted = claims(events, 10, 6, 5, 4)
    assert granted == [0]
    memory.release(claimed[0])
    assert granted == [0, 1, 2]


def test_a_claim_that_is_given_up_lets_the_next_go_on(events: asyncio.AbstractEventLoop) -> None:
    memory, claimed, granted = claims(events, 10, 6, 5, 4)
    memory.release(claimed[1])
    memory.release(claimed[0])
    assert granted == [0, 2]


def test_a_claim_on_more_than_all_is_a_claim_on_all(events: asyncio.AbstractEventLoop) -> None:
    memory, claimed, granted = claims(events, 10, 1, 100, 1)
    memory.release(claimed[0])
    assert granted == [0, 1]
    memory.release(claimed[1])
    assert granted == [0, 1, 2]


def test_large_bodies_that_never_end_are_cut_off_for_those_that_wait() -> None:
    with start(Timeouts()) as api, ExitStack() as stack:
        for _ in range(2 * BODIES):
            stack.enter_context(Connection(api.url)).send(HALVES["large"])
        body = json.dumps({"topic": "news", "messages": ["x" * 1000] * 1000}).encode()
        assert api.post("/create_topic", topic="news").status == 200
        assert call(api, "POST", "/publish", body, JSON).status == 200
