"""Sockets and the server on them."""

import gc
import socket

import pytest

from peerbus.http.listener import BindError, bind
from peerbus.http.types import Environ, Respond
from tests.support.harness import Api, free_port
from tests.support.servers import SERVERS, start_server

ANSWER = b'{"message": "Hello."}'


def application(_: Environ, respond: Respond) -> None:
    respond(200, [("Content-Type", "application/json")], ANSWER)


@pytest.fixture(params=SERVERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_has_a_url_that_reaches_it_from_this_machine(kind: str, host: str) -> None:
    with start_server(kind, application, bind(host, 0)) as api:
        assert api.get("/").body == {"message": "Hello."}


def test_a_server_takes_its_socket_over_and_closes_it_once(kind: str) -> None:
    listener = bind("127.0.0.1", 0)
    with start_server(kind, application, listener) as api:
        assert api.get("/").status == 200
    with start_server(kind, application, bind("127.0.0.1", 0)) as api:  # may get the number the closed socket had
        listener.close()
        gc.collect()
        assert Api(api.url).get("/").status == 200


def test_a_port_is_free_again_once_its_server_stopped(kind: str) -> None:
    port = free_port()
    with start_server(kind, application, bind("127.0.0.1", port)) as api:
        api.get("/")
    with start_server(kind, application, bind("127.0.0.1", port)) as api:
        assert api.get("/").status == 200


def test_stopping_is_told_once_before_requests_under_way_are_waited_for(kind: str) -> None:
    told: list[str] = []
    with start_server(kind, application, bind("127.0.0.1", 0), before_stop=lambda: told.append("stop")) as api:
        assert api.get("/").status == 200
        assert told == []
    assert told == ["stop"]


@pytest.mark.parametrize("host", ["a..b", "a" * 70, "192.0.2.1"])
def test_an_address_that_cannot_be_listened_on_is_told(host: str) -> None:
    with pytest.raises(BindError, match=rf"Cannot listen on {host} port 0: .*\.$"):
        bind(host, 0)


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=f"Cannot listen on 127.0.0.1 port {port}: Address already in use."):
            bind("127.0.0.1", port)
