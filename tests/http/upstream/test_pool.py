"""Requests to other processes over kept connections."""

import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from peerbus.http.event_loop import Loop
from peerbus.http.timeouts import TIMEOUTS
from peerbus.http.upstream.errors import TimedOut, Unreachable
from peerbus.http.upstream.exchange import Response
from peerbus.http.upstream.pool import IDLE_SECONDS, ConnectionPool
from peerbus.http.upstream.resolver import MAX_LOOKUPS
from tests.support.fakes import HANG_UP, SILENCE, FakeServer, fake_server, http
from tests.support.harness import DEADLINE, ROOT, error_of, free_port

THREADS = 16


@pytest.fixture
def pool() -> Iterator[ConnectionPool]:
    loop = Loop("pool")
    pool = ConnectionPool(loop, connect_timeout=2)
    yield pool
    pool.close()
    loop.close()


def send(
    pool: ConnectionPool, url: str, body: bytes = b"", timeout: float = DEADLINE, repeatable: bool = False
) -> Response:
    return pool.send("POST", url, body, ("Content-Type: application/json",), timeout, repeatable).result()


def test_a_request_arrives_as_it_was_given_and_its_answer_comes_back(pool: ConnectionPool) -> None:
    with fake_server(http(429, b"[1]", "application/json", "Retry-After:  1 ")) as fake:
        received = pool.send("DELETE", f"{fake.url}/a?b=%20c", b'{"x": 1}', ("X-Own: yes",), DEADLINE).result()
        head, _, body = fake.next_request().partition(b"\r\n\r\n")
    assert (received.status, received.body, received.headers[b"retry-after"]) == (429, b"[1]", b"1")
    assert (head.splitlines()[0], body) == (b"DELETE /a?b=%20c HTTP/1.1", b'{"x": 1}')
    assert b"X-Own: yes" in head.splitlines()


@pytest.mark.parametrize("size", [0, 1, 1024, 100_000, 3_000_000])
def test_bodies_of_any_size_are_sent_at_once(pool: ConnectionPool, size: int) -> None:
    with fake_server(http(200, b"x" * size)) as fake:
        for _ in range(2):
            assert send(pool, fake.url, b"y" * size).body == b"x" * size
            head, _, body = fake.next_request().partition(b"\r\n\r\n")
            assert body == b"y" * size
            assert b"expect" not in head.lower()


def test_a_connection_is_kept_for_the_next_request(pool: ConnectionPool) -> None:
    with fake_server(http(200)) as fake:
        for _ in range(5):
            send(pool, fake.url)
        assert fake.connections == 1


def test_a_connection_closed_between_requests_is_replaced(pool: ConnectionPool) -> None:
    with fake_server(http(200), hang_up_after_answer=True) as fake:
        for number in range(1, 4):
            assert send(pool, fake.url, repeatable=True).status == 200
            fake.hang_ups.get(timeout=DEADLINE)
            assert fake.connections == number


def test_a_connection_that_was_idle_for_too_long_is_not_used_again(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peerbus.http.upstream.pool.IDLE_SECONDS", 0.0)
    with fake_server(http(200)) as fake:
        for number in range(1, 4):
            assert send(pool, fake.url).status == 200
            assert fake.connections == number


def test_each_hop_keeps_idle_connections_for_less_time_than_the_next() -> None:
    (proxy,) = re.findall(r"keepalive_timeout (\d+)s;", (ROOT / "docs" / "nginx.conf").read_text())
    assert IDLE_SECONDS < int(proxy) < TIMEOUTS.idle


def test_a_failed_request_spoils_none_after_it(pool: ConnectionPool) -> None:
    with fake_server(http(200), SILENCE, http(200)) as fake:
        assert send(pool, fake.url).status == 200
        with pytest.raises(TimedOut):
            send(pool, fake.url, timeout=0.1)
        assert send(pool, fake.url).status == 200


def test_requests_of_many_threads_go_at_once_each_with_its_own_answer(pool: ConnectionPool) -> None:
    together = threading.Barrier(THREADS)

    def ask(number: int, fake: FakeServer) -> int:
        together.wait(DEADLINE)
        return len(send(pool, f"{fake.url}/{number}").body)

    with (
        ThreadPoolExecutor(THREADS) as threads,
        fake_server(http(200, b"even")) as even,
        fake_server(http(200, b"uneven")) as uneven,
    ):
        for _ in range(10):
            lengths = list(threads.map(lambda n: ask(n, uneven if n % 2 else even), range(THREADS)))
            assert lengths == [4, 6] * (THREADS // 2)
        assert even.connections <= THREADS


def test_a_request_does_not_wait_for_another(pool: ConnectionPool) -> None:
    with fake_server(SILENCE, http(200)) as fake, ThreadPoolExecutor(1) as other:
        stuck = other.submit(send, pool, fake.url, timeout=DEADLINE)
        fake.next_request()
        assert send(pool, fake.url).status == 200
        assert not stuck.done()
        fake.closing.set()
        assert isinstance(stuck.exception(DEADLINE), Unreachable)


@pytest.mark.parametrize(
    "url",
    ["http://a b/", "http://[", "http://", "http://127.0.0.1:99999/", "http://127.0.0.1:1/\0"],
)
def test_a_url_that_is_none_is_unreachable(pool: ConnectionPool, url: str) -> None:
    with pytest.raises(Unreachable):
        send(pool, url)


def test_a_port_nobody_listens_on_is_unreachable(pool: ConnectionPool) -> None:
    with pytest.raises(Unreachable):
        send(pool, f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    "answer",
    [HANG_UP, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"SSH-2.0-OpenSSH\r\n", b"\r\n\r\n"],
)
def test_an_answer_that_breaks_off_or_is_none_is_unreachable(pool: ConnectionPool, answer: bytes) -> None:
    with fake_server(answer, hang_up_after_answer=True) as fake, pytest.raises(Unreachable):
        send(pool, fake.url)


@pytest.mark.parametrize("answer", [SILENCE, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"])
def test_an_answer_that_does_not_come_whole_in_time_is_a_timeout(pool: ConnectionPool, answer: bytes | None) -> None:
    with fake_server(answer) as fake, pytest.raises(TimedOut):
        send(pool, fake.url, timeout=0.1)


def test_the_beginning_of_a_head_is_not_taken_for_one_that_came_before(pool: ConnectionPool) -> None:
    answer = http(200, b"")
    with fake_server(answer, answer.removesuffix(b"\r\n\r\n")) as fake:
        assert send(pool, fake.url).status == 200
        with pytest.raises(TimedOut):
            send(pool, fake.url, timeout=0.1)


def test_a_name_that_is_looked_up_for_long_keeps_no_other_waiting(
    pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = threading.Event()

    def look_up(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host == "good.test":
            return [(0, 0, 0, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]
        silent.wait(DEADLINE)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with fake_server(http(200)) as fake:
        port = fake.url.rpartition(":")[2]
        stuck = [pool.send("GET", f"http://dead{number}.test/", b"", (), 1.0) for number in range(MAX_LOOKUPS - 1)]
        assert send(pool, f"http://good.test:{port}/").status == 200
        assert {str(error_of(each)) for each in stuck} == {"what its name stands for cannot be found out in time"}
        stuck = [pool.send("GET", f"http://dead{number}.test/", b"", (), DEADLINE) for number in range(2 * MAX_LOOKUPS)]
        pool.close()
        assert {str(error_of(each)) for each in stuck} == {"the process is stopping"}
    silent.set()


def test_proxies_of_the_environment_are_not_used(pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_server(http(200)) as fake, fake_server(http(502)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert send(pool, fake.url).status == 200
        assert proxy.connections == 0


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX-Own: 1\r\n", b"HTTP/1.1 101 On\r\n\r\n"]
)
def test_a_request_whose_response_began_is_not_sent_again(pool: ConnectionPool, answer: bytes) -> None:
    with fake_server(http(200), answer, http(200), hang_up_after_answer=False) as fake:
        assert send(pool, fake.url).status == 200
        with pytest.raises((Unreachable, TimedOut)):
            send(pool, fake.url, timeout=0.2, repeatable=True)
        assert fake.connections == 1


@pytest.mark.parametrize("repeatable", [False, True])
def test_a_request_that_may_have_been_acted_on_is_sent_again_only_if_it_is_repeatable(
    pool: ConnectionPool, repeatable: bool
) -> None:
    with fake_server(http(200), HANG_UP, http(200)) as fake:
        assert send(pool, fake.url).status == 200
        if repeatable:
            assert send(pool, fake.url, repeatable=True).status == 200
        else:
            with pytest.raises(Unreachable):
                send(pool, fake.url)
        assert fake.requests.qsize() == 2 + repeatable


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n"
INFORMED = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"


@pytest.mark.parametrize("answer", [CHUNKED, INFORMED])
def test_an_answer_in_any_form_is_taken_whole_and_the_connection_kept(pool: ConnectionPool, answer: bytes) -> None:
    with fake_server(answer) as fake:
        assert [send(pool, fake.url).body for _ in range(3)] == [b"whole"] * 3
        assert fake.connections == 1


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_an_answer_without_a_length_ends_with_the_connection(pool: ConnectionPool, version: str) -> None:
    answer = f"{version} 200 OK\r\nContent-Type: text/plain\r\n\r\nwhole".encode()
    with fake_server(answer, hang_up_after_answer=True) as fake:
        assert send(pool, fake.url).body == b"whole"


def test_closing_fails_what_is_under_way_and_what_comes_after(pool: ConnectionPool) -> None:
    with fake_server(SILENCE) as fake:
        stuck = pool.send("GET", fake.url, b"", (), DEADLINE)
        fake.next_request()
        pool.close()
        with pytest.raises(Unreachable, match="stopping"):
            stuck.result(DEADLINE)
        with pytest.raises(Unreachable, match="stopping"):
            send(pool, fake.url)


def others_than_handlers() -> set[threading.Thread]:
    """The threads that run, but those of fake servers."""
    return {thread for thread in threading.enumerate() if "process_request_thread" not in thread.name}


def test_hundreds_of_requests_wait_without_a_thread_each(pool: ConnectionPool) -> None:
    with fake_server(SILENCE) as fake:
        before = others_than_handlers()
        sent = [pool.send("GET", fake.url, b"", (), DEADLINE) for _ in range(300)]
        for _ in sent:
            fake.next_request()
        assert others_than_handlers() <= before
        fake.closing.set()
        assert {type(error_of(each)) for each in sent} == {Unreachable}
