"""Servers for tests: of the calls, each way to them, of routes of their own, and one that comes and goes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from peerbus.broker import Broker, Limits
from peerbus.future import Future
from peerbus.http.dispatch import OTHER, Dispatch, HandlerRoute
from peerbus.http.event_loop import Loop
from peerbus.http.flask_app import FlaskHandler, create_app
from peerbus.http.handler import CallHandler, Guard, Handler
from peerbus.http.listener import Listener, bind
from peerbus.http.server import Server
from peerbus.http.stream_tickets import StreamTickets
from peerbus.http.timeouts import TIMEOUTS, Timeouts
from peerbus.http.tls import Certificate
from peerbus.http.types import Head, Reply, Request, Router
from peerbus.server.access import Tokens
from peerbus.server.calls import CALLS
from peerbus.wire.endpoints import STREAM_TICKET, Endpoint
from tests.support.cluster import start_passing_on
from tests.support.endpoints import ROWS
from tests.support.harness import MAX_BODY, Api, free_port, serving, start_index, tended

Handlers = Mapping[Endpoint, Handler]
Call = Callable[[Any], Any]
"""Answers the request of a row."""

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
    listener: Listener,
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


def calls_of(broker: Broker) -> dict[Endpoint, Call]:
    """Each row with its call of this broker."""
    calls = {name: partial(call, broker) for name, call in CALLS.items()} | {STREAM_TICKET.name: StreamTickets().issue}
    return {row: calls[row.name] for row in ROWS}


def through_dispatch(handlers: Handlers) -> Router:
    """Known calls past Flask."""
    return Dispatch(FlaskHandler(create_app(handlers)), handlers).route


def through_flask(handlers: Handlers) -> Router:
    """Every call through Flask's own routes; a pull that waits holds a thread."""
    route = HandlerRoute(
        OTHER,
        FlaskHandler(create_app(handlers), max(handler.max_body for handler in handlers.values())),
        lambda *_: None,
        in_loop=False,
    )
    return lambda _: route


WAYS: dict[str, Callable[[Handlers], Router]] = {"dispatch": through_dispatch, "flask": through_flask}
"""How requests come to handlers."""
MEMBER = "member"
"""How they come there through another server of a cluster."""


@contextmanager
def serve(
    way: str,
    more: Mapping[Endpoint, Call] | None = None,
    *,
    broker: Broker | None = None,
    max_body: int = MAX_BODY,
    threads: int = 64,
    timeouts: Timeouts = TIMEOUTS,
    host: str = "127.0.0.1",
    **limits: Any,
) -> Iterator[Api]:
    """All rows, and `more` of them with what answers them, served one way over a broker of its own.

    The way `MEMBER` has no `more`.
    """
    if way == MEMBER:
        options = {"max_body": max_body, "threads": threads, "timeouts": timeouts}
        with (
            serve("dispatch", broker=broker, max_body=max_body, threads=threads, **limits) as owner,
            start_passing_on(owner.url, **options) as api,
        ):
            yield api
        return
    target = broker or Broker(Limits(**limits))
    with tended(target), running_loop() as loop:
        handlers = {
            row: CallHandler(row, call, max_body, loop.run_steps)
            for row, call in (calls_of(target) | dict(more or {})).items()
        }
        with start_server(
            WAYS[way](handlers), loop, bind(host, 0), threads, before_stop=target.close, timeouts=timeouts
        ) as api:
            yield api


class Restartable:
    """An indexing server on one port, which can be stopped and started again, empty."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tokens: Tokens | None = None
        self._running = ExitStack()

    def start(self) -> Api:
        return self._running.enter_context(start_index(self.port, self.tokens))

    def stop(self) -> None:
        self._running.close()

    def restart(self) -> Api:
        self.stop()
        return self.start()
