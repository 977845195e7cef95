"""Threads that rest while one works, and are called up when it is blocked: in a real server, and one by one."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from peerbus.crew import Crew
from peerbus.http.listener import bind
from peerbus.http.timeouts import BodyTimeouts
from peerbus.http.types import Environ, Headers, Respond
from peerbus.serving import Server
from tests.http.support import Connection, RawReply, request
from tests.support.harness import DEADLINE, Api, eventually, in_background, serving

THREADS = 5
CONNECTIONS = 32
TEXT: Headers = [("Content-Type", "text/plain")]


class Echo:
    """Reads the body of each request and sends it back, with the thread that did as a header."""

    def __init__(self) -> None:
        self.under_way: set[int] = set()

    def __call__(self, environ: Environ, respond: Respond) -> None:
        self.under_way.add(threading.get_ident())
        body = environ.pop("wsgi.input").read(int(environ.get("CONTENT_LENGTH", 0)))
        self.under_way.remove(threading.get_ident())
        respond(200, [*TEXT, ("Thread", str(threading.get_ident()))], body)


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def api(echo: Echo) -> Iterator[Api]:
    with contextmanager(serving)(Server(echo, bind("127.0.0.1", 0), THREADS)) as api:
        yield api


class Half(Connection):
    """A request of which the first half of the body came, and the second is to."""

    def __init__(self, url: str, body: bytes) -> None:
        super().__init__(url)
        middle = len(body) // 2
        self.send(request("POST", "/", body[:middle], {}, len(body)))
        self._rest = body[middle:]

    def end(self) -> bytes:
        self.send(self._rest)
        return self.reply().body


def call(api: Api, body: bytes) -> RawReply:
    with Connection(api.url) as connection:
        return connection.call("POST", "/", body)


def one_thread_answers(api: Api) -> bool:
    return len({call(api, b"").headers["thread"] for _ in range(30)}) == 1


@pytest.mark.parametrize("halves", range(1, THREADS))
def test_half_sent_bodies_hold_up_nobody_and_are_answered_when_they_are_whole(
    api: Api, echo: Echo, halves: int
) -> None:
    for _ in range(3):
        with ExitStack() as stack:
            slow = [stack.enter_context(Half(api.url, b"half %d" % number)) for number in range(halves)]
            for number in range(30):
                assert call(api, b"%d" % number).body == b"%d" % number
            eventually(lambda: len(echo.under_way) == halves)
            assert [each.end() for each in slow] == [b"half %d" % number for number in range(halves)]
    eventually(lambda: one_thread_answers(api))


def test_when_every_thread_is_held_up_the_others_wait_for_the_first_to_be_free(api: Api, echo: Echo) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(Half(api.url, b"half")) for _ in range(THREADS)]
        eventually(lambda: len(echo.under_way) == THREADS)
        others = [in_background(lambda: call(api, b"whole").body) for _ in range(3)]
        assert slow.pop().end() == b"half"
        assert [other.result(DEADLINE) for other in others] == [b"whole"] * 3
        assert [each.end() for each in slow] == [b"half"] * (THREADS - 1)
    eventually(lambda: one_thread_answers(api))


def test_requests_side_by_side_are_all_answered_each_with_its_own(api: Api) -> None:
    start = threading.Barrier(CONNECTIONS)

    def converse(client: int) -> list[bytes]:
        with Connection(api.url) as connection:
            start.wait(DEADLINE)
            return [connection.call("POST", "/", b"%d:%d" % (client, number)).body for number in range(50)]

    with ThreadPoolExecutor(CONNECTIONS) as clients:
        conversations = list(clients.map(converse, range(CONNECTIONS)))
    assert conversations == [[b"%d:%d" % (client, number) for number in range(50)] for client in range(CONNECTIONS)]
    eventually(lambda: one_thread_answers(api))


@pytest.mark.parametrize("before", [0, 1, 10], ids="after {} requests".format)
def test_a_body_that_is_refused_unread_holds_up_nothing(before: int) -> None:
    def refuse(_: Environ, respond: Respond) -> None:
        respond(413, TEXT, b"")

    with contextmanager(serving)(Server(refuse, bind("127.0.0.1", 0), THREADS)) as api:
        for _ in range(before):
            call(api, b"")
        assert api.session.post(api.url, data=b"x" * (20 << 20), timeout=DEADLINE).status_code == 413


@pytest.mark.parametrize("length", [1, 20 << 20])
@pytest.mark.parametrize("later", [False, True], ids=["at once", "by another thread"])
def test_who_is_refused_unread_is_answered_at_once_and_told_that_the_connection_ends(length: int, later: bool) -> None:
    with ThreadPoolExecutor() as others:

        def refuse(_: Environ, respond: Respond) -> None:
            if later:
                others.submit(respond, 401, TEXT, b"")
            else:
                respond(401, TEXT, b"")

        with contextmanager(serving)(Server(refuse, bind("127.0.0.1", 0), THREADS)) as api:
            for _ in range(10 * THREADS):
                with Connection(api.url) as connection:
                    connection.send(request("POST", "/", b"", {}, length))
                    reply = connection.reply()
                    assert (reply.status, reply.headers["connection"]) == (401, "close")
                    assert connection.received() == b""


@pytest.mark.parametrize("length", ["0", "0" * 5000])
def test_a_connection_does_not_end_for_a_body_that_there_is_not(length: str) -> None:
    with (
        contextmanager(serving)(Server(answer, bind("127.0.0.1", 0), THREADS)) as api,
        Connection(api.url) as connection,
    ):
        for _ in range(2):
            assert "connection" not in connection.call("POST", "/", headers={"Content-Length": length}).headers


# The threads one by one


class Sent:
    """Takes the answer to a request, as granian's protocol does."""

    def response_bytes(self, *answer: Any) -> None:
        self.answer = answer

    response_iter = response_bytes


@pytest.fixture
def crew() -> Iterator[Crew]:
    """Nobody watches it, so that nobody is called up."""
    crew = Crew(BodyTimeouts(THREADS, lambda _: None))
    yield crew
    crew.close()


def answer(_: Environ, respond: Respond) -> None:
    respond(200, TEXT, b"")


def test_the_only_thread_goes_on_to_the_next_request(crew: Crew) -> None:
    serve = crew.serving(answer)
    in_background(lambda: [serve(Sent(), {}) for _ in range(3)]).result(DEADLINE)


def test_a_thread_that_is_not_needed_rests_until_the_end(crew: Crew) -> None:
    serve = crew.serving(answer)
    in_background(lambda: serve(Sent(), {})).result(DEADLINE)
    sent = Sent()
    resting = in_background(lambda: serve(sent, {}))
    eventually(lambda: hasattr(sent, "answer"))
    assert not resting.done()
    crew.close()
    resting.result(DEADLINE)
    in_background(lambda: serve(Sent(), {})).result(DEADLINE)


def large() -> Environ:
    return {"CONTENT_LENGTH": "10000", "wsgi.input": None}


def read(environ: Environ, respond: Respond) -> None:
    del environ["wsgi.input"]
    respond(200, TEXT, b"")


def test_a_large_body_that_comes_at_once_changes_nothing(crew: Crew) -> None:
    serve = crew.serving(read)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second, closing(crew):
        first.submit(serve, Sent(), large()).result(DEADLINE)
        sent = Sent()
        second.submit(serve, sent, large())
        eventually(lambda: hasattr(sent, "answer"))
        for _ in range(3):
            first.submit(serve, Sent(), large()).result(DEADLINE)


def test_after_one_that_came_slowly_large_bodies_come_while_another_thread_works(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peerbus.crew.SLOW_SECONDS", 3600)
    end = threading.Event()

    def read_slowly(environ: Environ, respond: Respond) -> None:
        end.wait(DEADLINE)
        read(environ, respond)

    serve, serve_slowly = crew.serving(read), crew.serving(read_slowly)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second, closing(crew):
        first.submit(serve, Sent(), large()).result(DEADLINE)
        waiting = second.submit(serve, Sent(), large())
        crew.start()
        slow = first.submit(serve_slowly, Sent(), large())
        waiting.result(DEADLINE)
        end.set()

        def first_goes_on() -> bool:
            second.submit(serve, Sent(), large())
            return slow.done()

        eventually(first_goes_on)


def test_a_fault_of_the_application_is_known_at_once(crew: Crew) -> None:
    def fail(_: Environ, __: Respond) -> None:
        raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            in_background(lambda: crew.serving(fail)(Sent(), {})).result(DEADLINE)
