"""The two servers, for the tests that hold for either."""

import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from peerbus.http.event_loop import Loop
from peerbus.http.server import MOST_GATHERED, LoopServer
from peerbus.http.timeouts import TIMEOUTS, Timeouts
from peerbus.http.tls import Certificate
from peerbus.http.types import Application
from peerbus.serving import Server
from tests.support.harness import Api, serving

SERVERS = ("threads", "loop")


@contextmanager
def start_server(
    kind: str,
    app: Application,
    listener: socket.socket,
    threads: int = 2,
    at_once: Collection[tuple[str, str]] = (),
    max_body: int = MOST_GATHERED,
    before_stop: Callable[[], None] = lambda: None,
    timeouts: Timeouts = TIMEOUTS,
    certificate: Certificate | None = None,
) -> Iterator[Api]:
    """An application served by one of `SERVERS`; `at_once` and `max_body` mean something to the loop alone."""
    if kind == "threads":
        yield from serving(Server(app, listener, threads, before_stop, timeouts, certificate))
        return
    loop = Loop("loop")
    try:
        yield from serving(
            LoopServer(app, loop, listener, threads, at_once, max_body, before_stop, timeouts, certificate)
        )
    finally:
        loop.close()
