"""How connections end: closed by either side, lost in the middle of anything, or closed when the server stops."""

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from peerbus.future import Future
from peerbus.http.connection import Connection as Served
from peerbus.http.dispatch import HandlerRoute
from peerbus.http.listener import bind
from peerbus.http.server import Server
from peerbus.http.types import Reply, Request, Sink
from tests.support.connections import Connection, NotReading, request
from tests.support.harness import DEADLINE, MAX_BODY, Api, eventually
from tests.support.servers import Application, running_loop, start_answering

BIG = 8 << 20
CHUNKED = request("POST", "/", b"", {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
ENDING = {
    "nothing": b"",
    "an answer": request("GET", "/"),
    "an answer from a thread": request("GET", "/thread"),
    "half a head": b"GET / HTT",
    "half a body": request("POST", "/", b"half", length=100),
    "half a large body": request("POST", "/", b"half", length=1 << 20),
    "half a chunked body": CHUNKED + b"5\r\nhal",
    "a claim on memory": request("POST", "/", b"half", length=MAX_BODY),
    "a refusal": b"junk\r\n\r\n",
    "a refusal of a body": request("POST", "/", b"half", length=MAX_BODY + 1),
}
"""What a client sends before its connection ends; the server may close it at once."""
ENDLESS = {"an answer that is not taken": request("GET", "/large"), "a stream": request("GET", "/stream")}
MANY = 40
"""Connections at a time: more than may have large bodies on their way."""


def application(asked: Request) -> Reply:
    """Answers with the body of the request; some paths do something else."""
    match asked.head.path:
        case "/large":
            return Reply(200, b"x" * BIG, ())
        case "/stream":
            return Reply(200, b"", (), stream=endless)
    return Reply(200, asked.body, ())


async def endless(sink: Sink) -> None:
    while await sink.write(b"x" * 100_000):
        pass


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with start_answering(application, threads=4) as api:
        yield api


def all_was_read(api: Api) -> None:
    """Wait until the server has read what was sent before: it reads all connections in one thread, in their order."""
    with Connection(api.url) as connection:
        connection.call("GET", "/")


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Whatever goes, goes without the garbage collector."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("sent", (ENDING | ENDLESS).values(), ids=ENDING | ENDLESS)
def test_a_lost_connection_leaves_nothing_behind(api: Api, sent: bytes) -> None:
    connections = [NotReading(api.url) for _ in range(MANY)]
    for connection in connections:
        connection.send(sent)
    all_was_read(api)
    for connection in connections:
        connection.abort()
    eventually(lambda: not any(isinstance(each, Served) for each in gc.get_objects()))


@pytest.mark.parametrize("sent", ENDING.values(), ids=ENDING)
def test_a_server_stops_in_time_whatever_its_connections_wait_for(sent: bytes) -> None:
    with start_answering(application) as api:
        connections = [Connection(api.url) for _ in range(MANY)]
        for connection in connections:
            connection.send(sent)
        all_was_read(api)
    for connection in connections:
        with connection:
            connection.received()


def test_an_answer_for_a_lost_connection_is_given_back() -> None:
    asked: Future[None] = Future()
    answered: Future[Reply] = Future()
    lost = threading.Event()

    def wait(request: Request) -> Future[Reply]:
        request.waits = True
        asked.set_result(None)
        return answered

    with start_answering(wait) as api:
        with Connection(api.url) as connection:
            connection.send(request("GET", "/"))
            asked.result(DEADLINE)
            connection.end_sending()
            assert connection.received() == b""
        answered.set_result(Reply(200, b"", (), on_lost=lost.set))
        assert lost.wait(DEADLINE)


def test_a_client_that_left_before_its_stream_was_open_is_hung_up_on() -> None:
    asked: Future[None] = Future()
    answered: Future[Reply] = Future()
    lost = threading.Event()

    def open_stream(request: Request) -> Reply | Future[Reply]:
        if request.head.path != "/stream":
            return Reply(200, b"", ())
        asked.set_result(None)
        return answered

    with start_answering(open_stream) as api, Connection(api.url) as connection:
        connection.send(request("GET", "/stream"))
        asked.result(DEADLINE)
        connection.end_sending()
        all_was_read(api)
        answered.set_result(Reply(200, b"", (), lost.set, endless))
        assert lost.wait(DEADLINE)
        assert connection.received() == b""


@pytest.mark.parametrize("stream", [None, endless], ids=["an answer", "a stream"])
def test_an_answer_for_a_connection_that_the_server_has_just_aborted_is_given_back(
    stream: Callable[[Sink], Coroutine[Any, Any, None]] | None,
) -> None:
    asked: Future[None] = Future()
    answered: Future[Reply] = Future()
    lost = threading.Event()

    def answer(request: Request) -> Reply | Future[Reply]:
        if request.head.path == "/first":
            asked.set_result(None)
            return answered
        for each in gc.get_objects():
            if isinstance(each, Served):
                each.abort()
        answered.set_result(Reply(200, b"", (), lost.set, stream))
        return Reply(200, b"", ())

    with start_answering(answer) as api, Connection(api.url) as first, Connection(api.url) as second:
        first.send(request("GET", "/first"))
        asked.result(DEADLINE)
        second.send(request("GET", "/second"))
        assert lost.wait(DEADLINE)


@pytest.mark.parametrize("goes", [True, False], ids=["its client goes", "its client stays"])
def test_a_stopped_server_has_ended_its_streams(goes: bool) -> None:
    begun: Future[None] = Future()
    ended = threading.Event()

    async def stream(sink: Sink) -> None:
        begun.set_result(None)
        try:
            await endless(sink)
        except asyncio.CancelledError:
            for _ in range(1000):  # turns of the loop that the end of a stream may take
                await asyncio.sleep(0)
            ended.set()
            raise

    route = HandlerRoute("test", Application(lambda _: Reply(200, b"", (), stream=stream)), lambda *_: None)
    listener = bind("127.0.0.1", 0)
    with running_loop() as loop, NotReading(listener.urls()[0]) as client:
        server = Server(lambda _: route, loop, listener, 1, MAX_BODY, client.abort if goes else lambda: None)
        server.start()
        client.send(request("GET", "/"))
        begun.result(DEADLINE)
        server.stop()
        assert server.wait() == goes
        assert ended.is_set()


def test_a_client_that_wants_the_connection_closed_has_it_closed_each_time(api: Api) -> None:
    for _ in range(3):
        with Connection(api.url) as connection:
            reply = connection.call("POST", "/echo", b"last", {"Connection": "close"})
            assert (reply.body, reply.headers["connection"]) == (b"last", "close")
            assert connection.received() == b""


def test_a_client_that_ends_sending_while_an_answer_comes_gets_all_of_it(api: Api) -> None:
    with NotReading(api.url) as connection:
        connection.send(request("GET", "/large"))
        connection.head()
        connection.end_sending()
        assert len(connection.received()) == BIG


def test_a_whole_request_is_answered_although_its_client_sends_no_more(api: Api) -> None:
    for path in ("/echo", "/thread"):
        with Connection(api.url) as connection:
            connection.send(request("POST", path, b"one", {}) + request("POST", path, b"two", {}))
            connection.end_sending()
            assert connection.reply().body == b"one"
            assert connection.reply().body == b"two"
            assert connection.received() == b""


def test_a_stream_whose_client_is_gone_finds_that_out() -> None:
    gone = threading.Event()

    async def endless(sink: Sink) -> None:
        try:
            while await sink.write(b"x" * 100_000):
                pass
        finally:
            gone.set()

    with start_answering(lambda _: Reply(200, b"", (), stream=endless)) as api:
        with Connection(api.url) as connection:
            connection.send(request("GET", "/", b"", {}))
            connection.head()
        assert gone.wait(DEADLINE)


def test_a_stream_that_fails_breaks_its_connection_off(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(sink: Sink) -> None:
        await sink.write(b"one")
        raise RuntimeError("a fault")

    with start_answering(lambda _: Reply(200, b"", (), stream=failing)) as api, Connection(api.url) as connection:
        connection.send(request("GET", "/", b"", {}))
        assert not connection.received().endswith(b"0\r\n\r\n")
    assert [record.getMessage() for record in caplog.records] == ["A stream failed"]


def test_what_is_under_way_is_answered_before_the_server_ends() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def late(_: Request) -> Reply:
        begun.set()
        go_on.wait(DEADLINE)
        return Reply(200, b"done", ())

    with start_answering(late, in_loop=False, before_stop=go_on.set) as api:
        connection, idle = Connection(api.url), Connection(api.url)
        connection.send(request("GET", "/", b"", {}))
        assert begun.wait(DEADLINE)
    with connection, idle:
        reply = connection.reply()
        assert (reply.body, reply.headers["connection"]) == (b"done", "close")
        assert idle.received() == b""
