"""Sockets and the server on them."""

import gc
import socket
from contextlib import contextmanager

import pytest

from peerbus.serving import BindError, Environ, Respond, Server, bind
from tests.support import Api, free_port, serving

ANSWER = b'{"message": "Hello."}'


def application(_: Environ, respond: Respond) -> None:
    respond(200, [("Content-Type", "application/json")], ANSWER)


serve = contextmanager(serving)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_has_a_url_that_reaches_it_from_this_machine(host: str) -> None:
    with serve(Server(application, bind(host, 0), 2)) as api:
        assert api.get("/").body == {"message": "Hello."}


def test_a_server_takes_its_socket_over_and_closes_it_once() -> None:
    listener = bind("127.0.0.1", 0)
    with serve(Server(application, listener, 2)) as api:
        assert api.get("/").status == 200
    with serve(Server(application, bind("127.0.0.1", 0), 2)) as api:  # may get the number the closed socket had
        listener.close()
        gc.collect()
        assert Api(api.url).get("/").status == 200


def test_a_port_is_free_again_once_its_server_stopped() -> None:
    port = free_port()
    with serve(Server(application, bind("127.0.0.1", port), 2)) as api:
        api.get("/")
    with serve(Server(application, bind("127.0.0.1", port), 2)) as api:
        assert api.get("/").status == 200


def test_stopping_is_told_once_before_requests_under_way_are_waited_for() -> None:
    told: list[str] = []
    with serve(Server(application, bind("127.0.0.1", 0), 2, before_stop=lambda: told.append("stop"))) as api:
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
