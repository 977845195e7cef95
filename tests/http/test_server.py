"""What the server in a loop makes of the bytes that clients send, whichever way they are cut."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerbus.http.flow_control import PART
from peerbus.http.listener import bind
from peerbus.http.types import IN_PARTS, Environ, Headers, Parts, Respond
from tests.http.support import Connection, NotReading, RawReply, request
from tests.support.harness import DEADLINE, Api, eventually, in_background
from tests.support.servers import start_server

AT_ONCE = [("POST", "/echo"), ("GET", "/empty")]
SHOWN = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL", "HTTP_HOST", "HTTP_X_OWN", "CONTENT_TYPE")
LARGE = 8 << 20


def application(environ: Environ, respond: Respond) -> None:
    """Echoes a request; some paths do something else."""
    path = environ["PATH_INFO"]
    if path == "/refuse":
        respond(413, [], b"too much")
    elif path == "/large":
        respond(200, [], b"x" * LARGE)
    elif path == "/parts":
        environ[IN_PARTS](200, [("Content-Type", "text/plain")], parts())
    elif path == "/fail":
        raise RuntimeError("a fault")
    elif path == "/empty":
        respond(200, [], b"")
    else:
        body = environ["wsgi.input"].read(1 << 30)
        shown = {name: environ[name] for name in SHOWN if name in environ}
        respond(200, [("Content-Type", "application/json")], json.dumps([shown, body.decode("latin-1")]).encode())


def parts() -> Parts:
    yield b"one,"
    yield b""
    yield b"two"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with start_server("loop", application, bind("127.0.0.1", 0), 4, AT_ONCE) as api:
        yield api


def echoed(reply: RawReply) -> tuple[dict[str, Any], bytes]:
    assert reply.status == 200, reply
    shown, body = reply.json()
    return shown, body.encode("latin-1")


BODIES = st.binary(max_size=40)
HEADERS = st.sampled_from([{}, {"X-Own": "1"}, {"X-Own": "Content-Length: 5"}, {"Content-Type": "text/plain"}])


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes, bytes]:
    """A request: its path, its body, its bytes."""
    path, body, headers = draw(st.sampled_from(["/echo", "/other"])), draw(BODIES), draw(HEADERS)
    if draw(st.booleans()):
        return path, body, request("POST", path, body, headers)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part)
    head = request("POST", path, b"", headers | {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
    return path, body, head + chunks + b"0\r\n\r\n"


@settings(max_examples=100, deadline=None)
@given(sent=st.lists(requests(), min_size=1, max_size=6), data=st.data())
def test_requests_are_the_same_in_whatever_pieces_they_come(
    api: Api, sent: list[tuple[str, bytes, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(each for _, _, each in sent)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    with Connection(api.url) as connection:
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            connection.send(stream[begin:end])
        for path, body, _ in sent:
            shown, echo = echoed(connection.reply())
            assert (shown["PATH_INFO"], echo) == (path, body)


def test_a_head_that_came_before_is_no_request_inside_another(api: Api) -> None:
    known = request("POST", "/echo", b"12345", {})
    with Connection(api.url) as connection:
        connection.send(known)
        connection.reply()
        connection.send(known + request("POST", "/other", known, {}, len(known) * 2)[:-3])
        connection.reply()
        connection.send(known[-3:] + known)
        assert echoed(connection.reply())[1] == known * 2
        connection.send(known)
        assert echoed(connection.reply())[1] == b"12345"


def test_the_beginning_of_a_head_is_not_taken_for_one_that_came_before(api: Api) -> None:
    known, longer = (request("POST", "/echo", b"", {"X-Own": value})[:-4] for value in ("1", "1POST /other HTTP/1.1"))
    end = b"\r\n\r\n"
    with Connection(api.url) as connection, Connection(api.url) as other:
        connection.send(known + end)
        assert echoed(connection.reply())[0]["HTTP_X_OWN"] == "1"
        connection.send(known)
        other.send(known + end)
        other.reply()  # so the server has read what was sent before
        connection.send(longer.removeprefix(known) + end)
        assert echoed(connection.reply())[0]["HTTP_X_OWN"] == "1POST /other HTTP/1.1"
        connection.send(known + end)
        assert echoed(connection.reply())[0]["HTTP_X_OWN"] == "1"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a%20b?c=%20d?e", "/a b", "c=%20d?e"),
        ("http://example.com/a?b", "/a", "b"),
        ("http://example.com", "/", ""),
        ("//a", "//a", ""),
        ("/%e2%82%ac", "/\u00e2\u0082\u00ac", ""),
        ("*", "*", ""),
    ],
)
def test_what_is_asked_for_is_told_as_wsgi_has_it(api: Api, target: str, path: str, query: str) -> None:
    with Connection(api.url) as connection:
        for _ in range(2):
            shown, _ = echoed(connection.call("POST" if target != "*" else "OPTIONS", target))
            assert (shown["PATH_INFO"], shown["QUERY_STRING"]) == (path, query)


def test_headers_that_could_pass_for_others_are_left_out(api: Api) -> None:
    with Connection(api.url) as connection:
        for _ in range(2):
            headers = {"X-Own": "mine", "X_Own": "forged", "Content_Length": "5"}
            shown, body = echoed(connection.call("POST", "/echo", b"abc", headers))
            assert (shown["HTTP_X_OWN"], body) == ("mine", b"abc")


@pytest.mark.parametrize(("version", "header", "kept"), [("1.0", "", False), ("1.0", "keep-alive", True)])
def test_the_previous_version_of_http_is_spoken(api: Api, version: str, header: str, kept: bool) -> None:
    with Connection(api.url) as connection:
        for _ in range(3 if kept else 1):
            own = f"Connection: {header}\r\n" if header else ""
            connection.send(f"POST /echo HTTP/{version}\r\n{own}Content-Length: 2\r\n\r\nhi".encode())
            reply = connection.reply()
            assert echoed(reply) == (reply.json()[0], b"hi")
            assert reply.headers["connection"] == ("keep-alive" if kept else "close")
        if not kept:
            assert connection.received() == b""


def test_who_wants_the_connection_closed_has_it_closed_each_time(api: Api) -> None:
    for _ in range(3):
        with Connection(api.url) as connection:
            reply = connection.call("POST", "/echo", b"last", {"Connection": "close"})
            assert (echoed(reply)[1], reply.headers["connection"]) == (b"last", "close")
            assert connection.received() == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        b"\x16\x03\x01\x00\xff\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(api: Api, sent: bytes) -> None:
    with Connection(api.url) as connection:
        connection.send(sent)
        assert connection.received().startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_what_came_before_what_is_not_http_is_answered(api: Api) -> None:
    with Connection(api.url) as connection:
        connection.send(request("POST", "/other", b"first", {}) + b"nonsense\r\n\r\n")
        reply = connection.reply()
        assert echoed(reply)[1] == b"first"
        assert reply.headers["connection"] == "close"
        assert connection.received() == b""


@pytest.mark.parametrize("name", ["Upgrade", "upGRADE"])
def test_who_offers_another_protocol_is_answered_in_this_one(api: Api, name: str) -> None:
    offer = {"Connection": "Upgrade, HTTP2-Settings", name: "h2c", "HTTP2-Settings": "x", "X-Own": "1"}
    with Connection(api.url) as connection:
        for body in (b"", b"whole", b"\r\nUpgrade: h2c\r\n\r\n"):
            for path in ("/echo", "/other"):
                shown, echo = echoed(connection.call("POST", path, body, offer))
                assert (shown["HTTP_X_OWN"], echo) == ("1", body)


def test_who_ends_sending_while_an_answer_comes_gets_all_of_it(api: Api) -> None:
    with NotReading(api.url) as connection:
        connection.send(request("GET", "/large"))
        connection.head()
        connection.end_sending()
        assert len(connection.received()) == LARGE


def test_what_is_refused_for_want_of_a_thread_is_not_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    let_go = threading.Event()

    def application(environ: Environ, respond: Respond) -> None:
        asked.append(environ["PATH_INFO"])
        let_go.wait(DEADLINE)
        respond(200, [], b"")

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with (
        start_server("loop", application, bind("127.0.0.1", 0), 2) as api,
        Connection(api.url) as first,
        Connection(api.url) as second,
    ):
        first.send(request("GET", "/first"))
        eventually(lambda: asked)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            assert second.call("GET", "/second").status == 503
        let_go.set()
        assert first.reply().status == 200
        assert first.call("GET", "/third").status == 200
    assert asked == ["/first", "/third"]


@pytest.mark.parametrize("ahead", range(5))
def test_a_body_with_an_offer_in_it_comes_whole_wherever_its_head_is_cut(api: Api, ahead: int) -> None:
    body = b"\r\nUpgrade: h2c\r\n"
    head = request("POST", "/other", body, {"X-Long": "x"})[: -len(body)]
    head = head.replace(b"X-Long: x", b"X-Long: x" + b"x" * (PART + ahead - len(head)))
    with Connection(api.url) as connection:
        connection.send(head + body)
        assert echoed(connection.reply())[1] == body


def test_what_follows_a_body_of_unknown_length_is_not_taken_without_end(api: Api) -> None:
    head = request("POST", "/other", b"", {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
    with Connection(api.url) as connection:
        connection.send(head + b"2\r\n{}\r\n0\r\nX-Own: " + b"1" * 1000 + b"\r\n\r\n")
        assert echoed(connection.reply())[1] == b"{}"
        connection.send(head + b"2\r\n{}\r\n0\r\nX-Own: ")
        connection.send_what_is_taken(b"1" * (1 << 20))
        connection.received()  # until the connection is closed, before the client's patience is at its end


def test_a_length_may_begin_with_zeros(api: Api) -> None:
    with Connection(api.url) as connection:
        for path in ("/echo", "/other"):
            connection.send(f"POST {path} HTTP/1.1\r\nContent-Length: {'0' * 5000}2\r\n\r\nhi".encode())
            assert echoed(connection.reply())[1] == b"hi"


def test_who_speaks_the_previous_version_is_not_told_to_go_on(api: Api) -> None:
    with Connection(api.url) as connection:
        connection.send(b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        connection.send(b"hi")
        assert connection.head().startswith(b"HTTP/1.1 200 ")


def test_thousands_of_requests_and_of_pieces_come_at_once(api: Api) -> None:
    head = request("POST", "/other", b"", {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
    small = request("GET", "/empty", b"", {})
    with Connection(api.url) as connection:
        sending = in_background(lambda: connection.send(head + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n" + small * 5000))
        assert echoed(connection.reply())[1] == b"x" * 100_000
        assert [connection.reply().status for _ in range(5000)] == [200] * 5000
        sending.result(DEADLINE)


def test_who_waits_to_be_told_to_send_a_body_is(api: Api) -> None:
    for path, size in (("/echo", 3), ("/other", 3), ("/other", 1 << 20)):
        body = b"x" * size
        with Connection(api.url) as connection:
            connection.send(request("POST", path, b"", {"Expect": "100-continue"}, size))
            assert connection.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.send(body)
            assert echoed(connection.reply())[1] == body


def test_a_head_that_came_from_another_address_does_not_bring_it_along() -> None:
    def address(environ: Environ, respond: Respond) -> None:
        respond(200, [], environ["REMOTE_ADDR"].encode())

    with start_server("loop", address, bind("127.0.0.1", 0)) as api:
        port = int(api.url.rpartition(":")[2])
        for host in ("127.0.0.1", "127.0.0.7"):
            with socket.create_connection(("127.0.0.1", port), DEADLINE, (host, 0)) as client:
                client.sendall(request("GET", "/", b"", {}))
                assert client.recv(1000).endswith(host.encode())


@pytest.mark.parametrize("answer", [(499, []), (200, [("X-Own", "\u20ac")])])
def test_an_answer_that_cannot_be_sent_is_an_error_of_the_server(answer: tuple[int, Headers]) -> None:
    with (
        start_server("loop", lambda _, respond: respond(*answer, b"text"), bind("127.0.0.1", 0)) as api,
        Connection(api.url) as connection,
    ):
        assert connection.call("GET", "/").status == 500


def test_who_still_sends_what_is_refused_gets_the_answer(api: Api) -> None:
    with Connection(api.url) as connection:
        connection.send(request("POST", "/refuse", b"x" * 1000, {}, LARGE))
        reply = connection.reply()
        assert (reply.status, reply.body, reply.headers["connection"]) == (413, b"too much", "close")
        connection.send_what_is_taken(b"x" * (LARGE - 1000))
        assert connection.received() == b""


def test_large_bodies_go_through_whole(api: Api) -> None:
    body = bytes(range(256)) * (LARGE // 256)
    with Connection(api.url) as connection:
        for _ in range(2):
            sending = in_background(lambda: connection.send(request("POST", "/echo", body, {})))
            assert echoed(connection.reply())[1] == body
            sending.result(DEADLINE)


def test_requests_sent_ahead_wait_for_their_turn_and_for_their_client(api: Api) -> None:
    ahead = 20
    with Connection(api.url) as connection:
        connection.send(request("GET", "/large", b"", {}) * ahead)
        assert [len(connection.reply().body) for _ in range(ahead)] == [LARGE] * ahead


def test_a_body_of_unknown_length_is_sent_in_parts(api: Api) -> None:
    with Connection(api.url) as connection:
        for _ in range(2):
            reply = connection.call("GET", "/parts")
            assert (reply.body, reply.headers["transfer-encoding"]) == (b"one,two", "chunked")
        connection.send(b"GET /parts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = connection.reply()
        assert (reply.body, reply.headers.get("transfer-encoding")) == (b"one,two", None)


def test_parts_that_cannot_be_made_are_an_error_of_the_server() -> None:
    def failing() -> Parts:
        raise RuntimeError("a fault")
        yield b""

    def stream(environ: Environ, _: Respond) -> None:
        environ[IN_PARTS](200, [], failing())

    with start_server("loop", stream, bind("127.0.0.1", 0)) as api, Connection(api.url) as connection:
        assert connection.call("GET", "/").status == 500


def test_a_fault_of_the_application_is_answered_and_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with Connection(api.url) as connection:
        for _ in range(2):
            assert connection.call("GET", "/fail").status == 500
    assert [record.getMessage() for record in caplog.records] == ["GET /fail failed"] * 2


def test_who_is_gone_while_parts_are_made_closes_their_maker() -> None:
    closed = threading.Event()

    def endless() -> Parts:
        try:
            while True:
                yield b"x" * 100_000
        finally:
            closed.set()

    def stream(environ: Environ, _: Respond) -> None:
        environ[IN_PARTS](200, [], endless())

    with start_server("loop", stream, bind("127.0.0.1", 0)) as api:
        with Connection(api.url) as connection:
            connection.send(request("GET", "/", b"", {}))
            connection.head()
        assert closed.wait(DEADLINE)


def test_a_connection_whose_answer_ends_while_the_server_does_is_closed() -> None:
    ended = threading.Event()

    def until_the_end() -> Parts:
        yield b"one,"
        ended.wait(DEADLINE)
        yield b"two"

    def stream(environ: Environ, _: Respond) -> None:
        environ[IN_PARTS](200, [], until_the_end())

    with start_server("loop", stream, bind("127.0.0.1", 0), before_stop=ended.set) as api:
        connection = Connection(api.url)
        connection.send(request("GET", "/", b"", {}))
        connection.head()
    with connection:
        assert connection.received() == b"4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_what_is_under_way_is_answered_before_the_server_ends() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def late(_: Environ, respond: Respond) -> None:
        begun.set()
        go_on.wait(DEADLINE)
        respond(200, [], b"done")

    with start_server("loop", late, bind("127.0.0.1", 0), before_stop=go_on.set) as api:
        connection, idle = Connection(api.url), Connection(api.url)
        connection.send(request("GET", "/", b"", {}))
        assert begun.wait(DEADLINE)
    with connection, idle:
        reply = connection.reply()
        assert (reply.body, reply.headers["connection"]) == (b"done", "close")
        assert idle.received() == b""
