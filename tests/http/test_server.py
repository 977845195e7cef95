"""What the server makes of the bytes that clients send, whichever way they are cut."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerbus.http.connection import LARGE
from peerbus.http.types import Headers, Reply, Request, Sink
from tests.support.connections import Connection, RawReply, request
from tests.support.harness import DEADLINE, Api, eventually, in_background
from tests.support.servers import start_answering

BIG = 8 << 20
TEXT: Headers = [("Content-Type", "text/plain")]


def application(asked: Request) -> Reply:
    """Echoes a request; some paths do something else."""
    head = asked.head
    match head.path:
        case "/large":
            return Reply(200, b"x" * BIG, ())
        case "/parts":
            return Reply(200, b"", TEXT, stream=parts)
        case "/fail":
            raise RuntimeError("a fault")
        case "/empty":
            return Reply(200, b"", ())
    shown = {
        "method": head.method,
        "path": head.path,
        "query": head.query,
        "is_old": head.is_old,
        "headers": head.headers,
    }
    body = json.dumps([shown, asked.body.decode("latin-1")]).encode()
    return Reply(200, body, [("Content-Type", "application/json")])


async def parts(sink: Sink) -> None:
    assert await sink.write(b"one,")
    assert await sink.write(b"two")


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with start_answering(application, threads=4) as api:
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
    path, body, headers = draw(st.sampled_from(["/echo", "/thread"])), draw(BODIES), draw(HEADERS)
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
            assert (shown["path"], echo) == (path, body)


def test_a_head_that_came_before_is_no_request_inside_another(api: Api) -> None:
    known = request("POST", "/echo", b"12345", {})
    with Connection(api.url) as connection:
        connection.send(known)
        connection.reply()
        connection.send(known + request("POST", "/thread", known, {}, len(known) * 2)[:-3])
        connection.reply()
        connection.send(known[-3:] + known)
        assert echoed(connection.reply())[1] == known * 2
        connection.send(known)
        assert echoed(connection.reply())[1] == b"12345"


def test_the_beginning_of_a_head_is_not_taken_for_one_that_came_before(api: Api) -> None:
    known, longer = (request("POST", "/echo", b"", {"X-Own": value})[:-4] for value in ("1", "1POST /thread HTTP/1.1"))
    end = b"\r\n\r\n"
    with Connection(api.url) as connection, Connection(api.url) as other:
        connection.send(known + end)
        assert echoed(connection.reply())[0]["headers"]["x-own"] == "1"
        connection.send(known)
        other.send(known + end)
        other.reply()  # so the server has read what was sent before
        connection.send(longer.removeprefix(known) + end)
        assert echoed(connection.reply())[0]["headers"]["x-own"] == "1POST /thread HTTP/1.1"
        connection.send(known + end)
        assert echoed(connection.reply())[0]["headers"]["x-own"] == "1"


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
def test_a_target_is_split_into_path_and_query(api: Api, target: str, path: str, query: str) -> None:
    with Connection(api.url) as connection:
        for _ in range(2):
            shown, _ = echoed(connection.call("POST" if target != "*" else "OPTIONS", target))
            assert (shown["path"], shown["query"]) == (path, query)


def test_headers_that_could_pass_for_others_are_left_out(api: Api) -> None:
    with Connection(api.url) as connection:
        for _ in range(2):
            headers = {"X-Own": "mine", "X_Own": "forged", "Content_Length": "5"}
            shown, body = echoed(connection.call("POST", "/echo", b"abc", headers))
            assert (shown["headers"]["x-own"], body) == ("mine", b"abc")


@pytest.mark.parametrize(("version", "header", "kept"), [("1.0", "", False), ("1.0", "keep-alive", True)])
def test_http_1_0_is_spoken(api: Api, version: str, header: str, kept: bool) -> None:
    with Connection(api.url) as connection:
        for _ in range(3 if kept else 1):
            own = f"Connection: {header}\r\n" if header else ""
            connection.send(f"POST /echo HTTP/{version}\r\n{own}Content-Length: 2\r\n\r\nhi".encode())
            reply = connection.reply()
            assert echoed(reply) == (reply.json()[0], b"hi")
            assert reply.headers["connection"] == ("keep-alive" if kept else "close")
        if not kept:
            assert connection.received() == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"\x16\x03\x01\x00\xff\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(api: Api, sent: bytes) -> None:
    with Connection(api.url) as connection:
        connection.send(sent)
        assert connection.received().startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_what_came_before_what_is_not_http_is_answered(api: Api) -> None:
    with Connection(api.url) as connection:
        connection.send(request("POST", "/thread", b"first", {}) + b"nonsense\r\n\r\n")
        assert echoed(connection.reply())[1] == b"first"
        reply = connection.reply()
        assert (reply.status, reply.headers["connection"], reply.json()["code"]) == (400, "close", "bad_request")
        assert "date" in reply.headers
        assert connection.received() == b""


@pytest.mark.parametrize("name", ["Upgrade", "upGRADE"])
def test_a_client_that_offers_another_protocol_is_answered_in_this_one(api: Api, name: str) -> None:
    offer = {"Connection": "Upgrade, HTTP2-Settings", name: "h2c", "HTTP2-Settings": "x", "X-Own": "1"}
    with Connection(api.url) as connection:
        for body in (b"", b"whole", b"\r\nUpgrade: h2c\r\n\r\n"):
            for path in ("/echo", "/thread"):
                shown, echo = echoed(connection.call("POST", path, body, offer))
                assert (shown["headers"]["x-own"], echo) == ("1", body)


def test_what_is_refused_for_want_of_a_thread_is_not_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    let_go = threading.Event()

    def answer(each: Request) -> Reply:
        asked.append(each.head.path)
        let_go.wait(DEADLINE)
        return Reply(200, b"", ())

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with (
        start_answering(answer, in_loop=False) as api,
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


@pytest.mark.parametrize("ahead", range(0, 20_000, 4_000))
def test_a_body_with_an_offer_in_it_comes_whole_wherever_its_head_is_cut(api: Api, ahead: int) -> None:
    body = b"\r\nUpgrade: h2c\r\n"
    head = request("POST", "/thread", body, {"X-Long": "x"})[: -len(body)]
    head = head.replace(b"X-Long: x", b"X-Long: x" + b"x" * ahead)
    with Connection(api.url) as connection:
        connection.send(head + body)
        assert echoed(connection.reply())[1] == body


def test_what_follows_a_body_of_unknown_length_is_not_taken_without_end(api: Api) -> None:
    head = request("POST", "/thread", b"", {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
    with Connection(api.url) as connection:
        connection.send(head + b"2\r\n{}\r\n0\r\nX-Own: " + b"1" * 1000 + b"\r\n\r\n")
        assert echoed(connection.reply())[1] == b"{}"
        connection.send(head + b"2\r\n{}\r\n0\r\nX-Own: ")
        connection.send_what_is_taken(b"1" * (1 << 20))
        connection.received()  # until the connection is closed, before the client gives up


def test_a_length_may_begin_with_zeros(api: Api) -> None:
    with Connection(api.url) as connection:
        for path in ("/echo", "/thread"):
            connection.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {'0' * 5000}2\r\n\r\nhi".encode())
            assert echoed(connection.reply())[1] == b"hi"


def test_a_client_of_http_1_0_gets_no_100_continue(api: Api) -> None:
    with Connection(api.url) as connection:
        connection.send(b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        connection.send(b"hi")
        assert connection.head().startswith(b"HTTP/1.1 200 ")


def test_thousands_of_requests_and_of_pieces_come_at_once(api: Api) -> None:
    head = request("POST", "/thread", b"", {"Transfer-Encoding": "chunked"}).replace(b"Content-Length: 0\r\n", b"")
    small = request("GET", "/empty", b"", {})
    with Connection(api.url) as connection:
        sending = in_background(lambda: connection.send(head + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n" + small * 5000))
        assert echoed(connection.reply())[1] == b"x" * 100_000
        assert [connection.reply().status for _ in range(5000)] == [200] * 5000
        sending.result(DEADLINE)


def test_a_client_that_waits_for_100_continue_before_its_body_gets_it(api: Api) -> None:
    for path, size in (("/echo", 3), ("/thread", 3), ("/thread", 1 << 20)):
        body = b"x" * size
        with Connection(api.url) as connection:
            connection.send(request("POST", path, b"", {"Expect": "100-continue"}, size))
            assert connection.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.send(body)
            assert echoed(connection.reply())[1] == body


def test_a_head_that_came_from_another_address_does_not_bring_it_along() -> None:
    with start_answering(lambda asked: Reply(200, asked.client.encode(), ())) as api:
        port = int(api.url.rpartition(":")[2])
        for host in ("127.0.0.1", "127.0.0.7"):
            with socket.create_connection(("127.0.0.1", port), DEADLINE, (host, 0)) as client:
                client.sendall(request("GET", "/", b"", {}))
                assert client.recv(1000).endswith(host.encode())


@pytest.mark.parametrize("answer", [(499, b"text", []), (200, b"text", [("X-Own", "\u20ac")])])
def test_an_answer_that_cannot_be_sent_is_an_error_of_the_server(answer: tuple[int, bytes, Headers]) -> None:
    with start_answering(lambda _: Reply(*answer)) as api, Connection(api.url) as connection:
        assert connection.call("GET", "/").status == 500


def test_a_client_that_still_sends_what_is_refused_gets_the_answer(api: Api) -> None:
    with Connection(api.url) as connection:
        connection.send(request("POST", "/echo", b"x" * 1000, {}, 17 << 20))
        reply = connection.reply()
        assert (reply.status, reply.json()["code"], reply.headers["connection"]) == (413, "too_large", "close")
        connection.send_what_is_taken(b"x" * ((17 << 20) - 1000))
        assert connection.received() == b""


def test_large_bodies_go_through_whole(api: Api) -> None:
    body = bytes(range(256)) * (BIG // 256)
    with Connection(api.url) as connection:
        for _ in range(2):
            sending = in_background(lambda: connection.send(request("POST", "/echo", body, {})))
            assert echoed(connection.reply())[1] == body
            sending.result(DEADLINE)


def test_requests_sent_ahead_wait_for_their_turn_and_for_their_client(api: Api) -> None:
    ahead = 20
    with Connection(api.url) as connection:
        connection.send(request("GET", "/large", b"", {}) * ahead)
        assert [len(connection.reply().body) for _ in range(ahead)] == [BIG] * ahead


def test_a_body_of_unknown_length_is_sent_in_parts(api: Api) -> None:
    with Connection(api.url) as connection:
        for _ in range(2):
            reply = connection.call("GET", "/parts")
            assert (reply.body, reply.headers["transfer-encoding"]) == (b"one,two", "chunked")
        connection.send(b"GET /parts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = connection.reply()
        assert (reply.body, reply.headers.get("transfer-encoding")) == (b"one,two", None)


def test_a_fault_of_the_application_is_answered_and_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with Connection(api.url) as connection:
        for _ in range(2):
            assert connection.call("GET", "/fail").status == 500
    assert [record.getMessage() for record in caplog.records] == ["GET /fail failed"] * 2


def test_a_large_body_is_answered_in_a_thread_and_a_small_one_in_the_loop() -> None:
    def answer(_: Request) -> Reply:
        return Reply(200, threading.current_thread().name.encode(), ())

    with start_answering(answer) as api, Connection(api.url) as connection:
        assert connection.call("POST", "/", b"x" * (LARGE - 1)).body == b"loop"
        assert connection.call("POST", "/", b"x" * LARGE).body.startswith(b"serving")
