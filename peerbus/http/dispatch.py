"""From the head of a request to its route: known calls go straight to their handlers, all else to Flask."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter

from msgspec.structs import replace

from peerbus.errors import PeerbusError
from peerbus.future import Future
from peerbus.histogram import Durations
from peerbus.http.event_stream import PATH as STREAM_PATH
from peerbus.http.handler import Guard, Handler
from peerbus.http.incoming_body import too_large
from peerbus.http.reply import failure
from peerbus.http.request import check_encoding
from peerbus.http.types import Head, Headers, Reply, Request
from peerbus.wire.endpoints import Endpoint

STREAM = "stream"
OTHER = "other"
"""The name under which all requests are counted that are not calls: pages, unknown paths and methods."""
BOUNDS = tuple(factor * 10.0**power for power in range(-5, 2) for factor in (1, 2.5, 5))
"""10 us to 50 s: a call takes tens of microseconds, and a pull may wait a minute."""


def new_durations() -> Durations:
    """Durations of requests, none counted yet."""
    return Durations(BOUNDS)


class HandlerRoute:
    """The route of requests that one handler answers: guards, handler, errors, and the count of durations."""

    __slots__ = ("_count", "_handler", "_name", "_name_of_waiting", "guards", "headers", "in_loop", "max_body")

    def __init__(
        self,
        name: str,
        handler: Handler,
        count: Callable[[str, int, float], None],
        *,
        in_loop: bool = True,
        guards: Sequence[Guard] = (),
        headers: Headers = (),
    ) -> None:
        """`count` is given each request's name, status, and seconds until there was an answer to send.

        `guards` come before those of the handler; `headers` are added to each reply.
        """
        self._name = name
        self._name_of_waiting = f"{name}_waiting"
        self._handler = handler
        self._count = count
        self.in_loop = in_loop
        self.max_body = handler.max_body
        self.guards = (*guards, *handler.guards)
        self.headers = headers

    def behind(self, guards: Sequence[Guard], headers: Headers) -> "HandlerRoute":
        """The same route behind more guards, with more headers in its replies."""
        return HandlerRoute(
            self._name,
            self._handler,
            self._count,
            in_loop=self.in_loop,
            guards=guards,
            headers=(*self.headers, *headers),
        )

    def refuse(self, request: Request) -> Reply | None:
        """The reply that refuses a request by its head alone; None admits it."""
        request.began = perf_counter()
        try:
            for guard in self.guards:
                guard(request)
        except Exception as error:  # noqa: BLE001  # every error becomes an answer
            return self.failed(request, error)
        request.began = 0.0  # its body comes now, which is not counted
        return None

    def answer(self, request: Request) -> Reply | Future[Reply]:
        """Answer a request whose body came. A future is given to `answered` when it is done."""
        reply = self.handle(request)
        return reply if isinstance(reply, Future) else self._counted(request, reply)

    def handle(self, request: Request) -> Reply | Future[Reply]:
        """Do as `answer`, in any thread; a reply is given to `answered` as well, which counts it."""
        request.began = perf_counter()
        try:
            if self.guards and not request.is_admitted:
                for guard in self.guards:
                    guard(request)
            if 0 < self.max_body < len(request.body) - request.head.added:
                raise too_large(self.max_body)
            return self._handler(request)
        except Exception as error:  # noqa: BLE001  # every error becomes an answer
            return failure(error, request.head.call)

    def answered(self, request: Request, done: Future[Reply]) -> Reply:
        """The reply to a request whose future is done."""
        error = done.exception()
        return self.failed(request, error) if error else self._counted(request, done.result())

    def failed(self, request: Request, error: Exception) -> Reply:
        """The reply to a request that cannot be answered because of `error`."""
        return self._counted(request, failure(error, request.head.call))

    def _counted(self, request: Request, reply: Reply) -> Reply:
        """The reply, counted before it is sent: a client that has an answer finds it counted."""
        seconds = perf_counter() - request.began if request.began else 0.0
        self._count(self._name_of_waiting if request.waits else self._name, reply.status, seconds)
        return replace(reply, headers=[*reply.headers, *self.headers]) if self.headers else reply


class Dispatch:
    """The table of routes.

    A call whose method and path are exactly a row of the table goes straight to its handler, because Flask's
    request context costs thirty times as much as the broker; so do streams. Flask has the same calls as routes, with
    the same handlers, errors and bodies, and answers all other requests.
    """

    def __init__(
        self,
        flask: Handler,
        calls: Mapping[Endpoint, Handler],
        durations: Durations | None = None,
        streams: Handler | None = None,
    ) -> None:
        """`durations` count all requests; `streams` answers `GET /stream`."""
        count = (durations or new_durations()).add
        self._routes = {
            (endpoint.method, endpoint.path): HandlerRoute(endpoint.name, handler, count)
            for endpoint, handler in calls.items()
        }
        if streams:
            for method in ("GET", "HEAD"):
                self._routes[method, STREAM_PATH] = HandlerRoute(STREAM, streams, count)
        self._other = HandlerRoute(OTHER, flask, count, in_loop=False)

    def route(self, head: Head) -> HandlerRoute:
        """The route of a head; one that refuses a body that the head says is encoded."""
        found = self._routes.get((head.method, head.path), self._other)
        try:
            check_encoding(head)
        except PeerbusError as error:
            return found.behind([partial(refuse, error)], ())
        return found


def refuse(error: PeerbusError, _: Request) -> None:
    """A guard that admits no request: it raises `error`."""
    raise error.with_traceback(None)
