"""The two servers, for the tests that hold for either."""

import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from peerbus.application import Application
from peerbus.loop import MOST_GATHERED, Loop, LoopServer
from peerbus.patience import PATIENCE, Patience
from peerbus.serving import Server
from peerbus.tls import Certificate
from tests.support import Api, serving

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
    patience: Patience = PATIENCE,
    certificate: Certificate | None = None,
) -> Iterator[Api]:
    """An application served by one of `SERVERS`; `at_once` and `max_body` mean something to the loop alone."""
    if kind == "threads":
        yield from serving(Server(app, listener, threads, before_stop, patience, certificate))
        return
    loop = Loop("loop")
    try:
        yield from serving(
            LoopServer(app, loop, listener, threads, at_once, max_body, before_stop, patience, certificate)
        )
    finally:
        loop.close()
