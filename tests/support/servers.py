"""An HTTP server for tests that bring routes of their own."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from peerbus.future import Future
from peerbus.http.dispatch import HandlerRoute
from peerbus.http.event_loop import Loop
from peerbus.http.handler import Guard
from peerbus.http.listener import bind
from peerbus.http.server import Server
from peerbus.http.timeouts import TIMEOUTS, Timeouts
from peerbus.http.tls import Certificate
from peerbus.http.types import Head, Reply, Request, Router
from tests.support.harness import MAX_BODY, Api, serving

Answer = Callable[[Request], Reply | Future[Reply]]


@contextmanager
def running_loop() -> Iterator[Loop]:
    loop = Loop("loop")
    try:
        yield loop
    finally:
        loop.close()


@contextmanager
def start_server(
    router: Router,
    loop: Loop,
    listener: socket.socket,
    threads: int = 2,
    before_stop: Callable[[], None] = lambda: None,
    timeouts: Timeouts = TIMEOUTS,
    certificate: Certificate | None = None,
) -> Iterator[Api]:
    """Routes served on a loop that stays its owner's."""
    yield from serving(Server(router, loop, listener, threads, MAX_BODY, before_stop, timeouts, certificate))


class Application:
    """Answers every request by a function."""

    guards: Sequence[Guard] = ()

    def __init__(self, answer: Answer, max_body: int = MAX_BODY) -> None:
        self.max_body = max_body
        self._answer = answer

    def __call__(self, request: Request) -> Reply | Future[Reply]:
        return self._answer(request)


@contextmanager
def start_answering(answer: Answer, *, in_loop: bool = True, **options: Any) -> Iterator[Api]:
    """A server whose every request is answered by a function: in the loop, but in a thread below `/thread`."""

    def route(head: Head) -> HandlerRoute:
        here = in_loop and not head.path.startswith("/thread")
        return HandlerRoute("test", Application(answer), lambda *_: None, in_loop=here)

    with running_loop() as loop, start_server(route, loop, bind("127.0.0.1", 0), **options) as api:
        yield api
