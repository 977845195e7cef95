"""Clients that send bodies and heads slowly, against a real server, and who is cut off when."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest

from peerbus.broker import Broker
from peerbus.http.dispatch import Dispatch
from peerbus.http.flask_app import create_app
from peerbus.http.handler import answering
from peerbus.http.listener import bind
from peerbus.http.timeouts import LEAST_SECONDS, BodyTimeouts, Request, Timeouts
from tests.http.support import JSON, ROWS, Connection, call, calls_of, prepare, request
from tests.support.harness import DEADLINE, MAX_BODY, Api, eventually, in_background, start_index, tended
from tests.support.servers import SERVERS, start_server

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


Start = Callable[..., AbstractContextManager[Api]]


@pytest.fixture(params=SERVERS)
def start(request: pytest.FixtureRequest) -> Start:
    """Starts all calls, on few threads, by either server."""

    @contextmanager
    def start(timeouts: Timeouts, host: str = "127.0.0.1") -> Iterator[Api]:
        broker = Broker()
        routes = {row: answering(row, call, MAX_BODY) for row, call in calls_of(broker).items()}
        application, at_once = Dispatch(create_app(routes), routes), [(row.method, row.path) for row in ROWS]
        with (
            tended(broker),
            start_server(
                *(request.param, application, bind(host, 0), THREADS, at_once),
                before_stop=broker.close,
                timeouts=timeouts,
            ) as api,
        ):
            yield api

    return start


def cut_off(connection: Connection) -> bool:
    """Whether a connection was closed, waited for."""
    return b" 200 " not in connection.received()


@pytest.mark.parametrize("name", HALVES)
def test_who_does_not_end_a_body_is_cut_off_and_nothing_is_done(
    start: Start, name: str, caplog: pytest.LogCaptureFixture
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
def test_who_does_not_end_a_body_is_cut_off_over_ipv6_too(start: Start, host: str) -> None:
    with start(Timeouts(body=0.0), host) as api, Connection(api.url) as slow:
        slow.send(HALVES["declared"])
        assert cut_off(slow)


def test_a_head_is_answered_without_its_body(start: Start) -> None:
    with start(Timeouts()) as api:
        for _ in range(3 * THREADS):
            with Connection(api.url) as slow:
                slow.send(request("HEAD", "/topics", b"half", length=100))
                assert slow.reply("HEAD").status == 200
        assert call(api, "GET", "/livez").status == 200


@pytest.mark.parametrize("name", HALVES)
def test_three_times_as_many_slow_senders_as_threads_do_not_stop_the_server(start: Start, name: str) -> None:
    with start(Timeouts()) as api, ExitStack() as stack:
        prepare(api)
        held = api.in_background("POST", "/pull_messages", peer_id="peer1", topic="news", wait=60)
        eventually(lambda: api.get("/stats").body["stats"]["waiting_pulls"])
        for _ in range(3 * THREADS):
            stack.enter_context(Connection(api.url)).send(HALVES[name])
        assert api.post("/publish", topic="news", message="text").status == 200
        assert held.result().body["messages"] == ["text"]
        assert [topic["topic"] for topic in api.get("/topics").body["topics"]] == ["news"]


def test_slow_senders_that_come_back_when_they_are_cut_off_do_not_stop_the_server(start: Start) -> None:
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


# KnownHeads


def test_who_does_not_end_a_head_is_cut_off(start: Start) -> None:
    with start(Timeouts(head=0.1)) as api:
        for sent in (b"", b"POST /publ", HALVES["declared"][:-200]):
            with Connection(api.url) as slow:
                slow.send(sent)
                assert cut_off(slow)
        assert call(api, "GET", "/livez").status == 200


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
def test_a_head_that_is_too_large_is_refused(start: Start, method: str, path: str, headers: dict[str, str]) -> None:
    with start(Timeouts()) as api:
        with Connection(api.url) as connection:
            connection.send_what_is_taken(request(method, path, b"", headers))
            assert cut_off(connection)
        assert call(api, "GET", "/livez").status == 200


def test_a_head_is_taken_up_to_the_limit(start: Start) -> None:
    with start(Timeouts()) as api:
        assert call(api, "GET", "/livez", headers={"X-Long": "x" * 60_000}).status == 200


# Who is cut off when, on a clock of the test's


class Sender:
    """Stands for a request whose body does not come, and notes that it was cut off."""

    def __init__(self) -> None:
        self.was_cut_off = False
        self.environ = {"wsgi.input": object(), "CONTENT_LENGTH": "10"}

    def cut_off(self) -> None:
        self.was_cut_off = True

    @property
    def request(self) -> Request:
        return self, self.environ


def cut(bodies: BodyTimeouts, senders: list[Sender], requests: dict[int, Request], now: float) -> list[int]:
    """Which of the senders are cut off by now."""
    bodies.cut(requests, now)
    return [number for number, sender in enumerate(senders) if sender.was_cut_off]


def test_a_body_may_take_so_many_seconds_from_when_it_was_first_seen() -> None:
    bodies, senders = BodyTimeouts(10, Sender.cut_off, seconds=30), [Sender(), Sender()]
    requests = {number: sender.request for number, sender in enumerate(senders)}
    assert cut(bodies, senders, {0: requests[0]}, 100.0) == []
    assert cut(bodies, senders, requests, 110.0) == []
    assert cut(bodies, senders, requests, 129.9) == []
    assert cut(bodies, senders, requests, 130.0) == [0]
    assert cut(bodies, senders, requests, 139.9) == [0]
    assert cut(bodies, senders, requests, 140.0) == [0, 1]


def test_of_too_many_slow_senders_those_who_came_first_go_first() -> None:
    bodies, senders = BodyTimeouts(8, Sender.cut_off), [Sender() for _ in range(8)]
    requests = {}
    for number, sender in enumerate(senders):
        requests[number] = sender.request
        assert cut(bodies, senders, requests, 100 + number * 0.01) == []
    assert cut(bodies, senders, requests, 100.0 + LEAST_SECONDS) == [0]
    assert cut(bodies, senders, requests, 101.0) == [0, 1]
    assert cut(bodies, senders, requests, 102.0) == [0, 1]


def test_the_next_request_of_a_thread_begins_anew() -> None:
    bodies, senders = BodyTimeouts(2, Sender.cut_off, seconds=30), [Sender(), Sender()]
    assert cut(bodies, senders, {7: senders[0].request}, 100.0) == []
    assert cut(bodies, senders, {7: senders[1].request}, 130.0) == []
    assert cut(bodies, senders, {7: senders[1].request}, 160.0) == []


def test_whose_body_is_read_is_not_cut_off() -> None:
    bodies, sender = BodyTimeouts(2, Sender.cut_off, seconds=30), Sender()
    requests = {7: sender.request}
    assert cut(bodies, [sender], requests, 100.0) == []
    del sender.environ["wsgi.input"]
    assert cut(bodies, [sender], requests, 200.0) == []
    assert cut(bodies, [Sender()], {}, 300.0) == []


def test_a_server_of_two_threads_waits_for_one_slow_sender() -> None:
    bodies, senders = BodyTimeouts(2, Sender.cut_off, seconds=30), [Sender(), Sender()]
    requests = {number: sender.request for number, sender in enumerate(senders)}
    assert cut(bodies, senders, {0: requests[0]}, 100.0) == []
    assert cut(bodies, senders, {0: requests[0]}, 129.0) == []
    assert cut(bodies, senders, requests, 129.1) == [0]
    assert not senders[1].was_cut_off
