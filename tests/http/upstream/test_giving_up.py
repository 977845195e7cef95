"""Exchanges that are given up: no response is waited for but one that is on its way."""

import threading
from collections.abc import Iterator

import pytest

from peerbus.http.event_loop import Loop
from peerbus.http.upstream.errors import NotConnected, Unreachable, UpstreamError
from peerbus.http.upstream.pool import ConnectionPool
from tests.support.fakes import SILENCE, fake_server, http
from tests.support.harness import DEADLINE, error_of, free_port


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop("pool")
    yield loop
    loop.close()


@pytest.fixture
def pool(loop: Loop) -> Iterator[ConnectionPool]:
    pool = ConnectionPool(loop, connect_timeout=2)
    yield pool
    pool.close()


def test_it_fails_soon_though_the_other_side_stays_silent(loop: Loop, pool: ConnectionPool) -> None:
    with fake_server(SILENCE) as fake:
        sent = pool.send("POST", fake.url, b"", (), DEADLINE)
        fake.next_request()
        loop.call(sent.give_up)
        assert isinstance(error_of(sent), UpstreamError)


def test_a_response_that_came_stays_and_its_connection_is_kept(loop: Loop, pool: ConnectionPool) -> None:
    with fake_server(http(200, b"[1]")) as fake:
        for _ in range(3):
            sent = pool.send("POST", fake.url, b"", (), DEADLINE)
            assert sent.result(DEADLINE).body == b"[1]"
            loop.wait_for(given_up(sent.give_up))
        assert fake.connections == 1


def test_one_that_is_not_sent_yet_never_is(loop: Loop, pool: ConnectionPool) -> None:
    with fake_server(http(200)) as fake:
        begun = threading.Event()
        loop.call_soon(begun.wait)
        sent = pool.send("POST", fake.url, b"", (), DEADLINE)
        loop.call_soon(sent.give_up)
        begun.set()
        assert isinstance(error_of(sent), Unreachable)
        assert fake.requests.empty()


def test_without_a_connection_nothing_was_sent(pool: ConnectionPool) -> None:
    sent = pool.send("POST", f"http://127.0.0.1:{free_port()}", b"", (), DEADLINE)
    assert isinstance(error_of(sent), NotConnected)


async def given_up(give_up: object) -> None:
    assert callable(give_up)
    give_up()
