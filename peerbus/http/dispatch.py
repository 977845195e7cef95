"""The way in: known calls are answered here, everything else by Flask."""

from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter

from peerbus.future import Future
from peerbus.histogram import Durations
from peerbus.http.event_stream import HEADERS, PATH, Streams
from peerbus.http.flask_app import WSGIApplication, respond_by
from peerbus.http.handler import WAITS, Handler
from peerbus.http.reply import Reply, failure
from peerbus.http.types import IN_PARTS, Environ, Headers, Parts, Respond, RespondInParts
from peerbus.wire.endpoints import Endpoint

STREAM = "stream"
OTHER = "other"
"""What stands for all that is not a call: pages, and paths and methods that are not known."""
BOUNDS = tuple(factor * 10.0**power for power in range(-5, 2) for factor in (1, 2.5, 5))
"""10 us to 50 s: a call takes tens of microseconds, and a pull may wait a minute."""


def new_durations() -> Durations:
    """Of requests, none counted yet."""
    return Durations(BOUNDS)


class Dispatch:
    """An application over one of Flask's that has the same calls as routes.

    A call whose method and path are exactly a row of the table goes straight to its handler: Flask's request
    context costs thirty times what the broker does. Handlers, errors and bodies are the same either way.
    """

    def __init__(
        self,
        app: WSGIApplication,
        routes: Mapping[Endpoint, Handler],
        durations: Durations | None = None,
        streams: Streams | None = None,
    ) -> None:
        """`durations` is told of each request, from when it came until there is an answer to send.

        `streams` answer what asks for one.
        """
        self._app = app
        self._streams = streams
        self._count = (durations or new_durations()).add
        self._routes = {  # no path has two methods
            endpoint.path: (endpoint.method, handler, endpoint.name) for endpoint, handler in routes.items()
        }

    def __call__(self, environ: Environ, respond: Respond) -> None:
        """Answer one request."""
        began = perf_counter()
        path = environ["PATH_INFO"]
        route = self._routes.get(path)
        if route is None or route[0] != environ["REQUEST_METHOD"]:
            if self._streams is not None and (environ["REQUEST_METHOD"], path) == ("GET", PATH):
                self._stream(self._streams, began, environ, respond)
            else:
                respond_by(self._app, environ, self._counting(began, OTHER, respond))
            return
        method, handler, name = route
        try:
            reply = handler(environ)
        except Exception as error:  # noqa: BLE001  # this is where every error becomes an answer
            reply = failure(error, f"{method} {path}")
        if WAITS in environ:
            name += "_waiting"
        if isinstance(reply, Future):
            reply.add_done_callback(partial(self._respond, began, name, (method, path), respond, environ[IN_PARTS]))
        else:
            status, body, headers, _ = reply
            self._count(name, status, perf_counter() - began)
            respond(status, headers, body)

    def _respond(
        self,
        began: float,
        name: str,
        call: tuple[str, str],
        respond: Respond,
        in_parts: RespondInParts,
        done: Future[Reply],
    ) -> None:
        """Answer with what came later, and count it as `_counting` does."""
        try:
            status, body, headers, take_back = done.result()
        except Exception as error:  # noqa: BLE001  # as above
            status, body, headers, take_back = failure(error, " ".join(call))
        self._count(name, status, perf_counter() - began)
        if take_back:
            in_parts(status, [*headers, ("Content-Length", str(len(body)))], _handed_over(body, take_back))
        else:
            respond(status, headers, body)

    def _stream(self, streams: Streams, began: float, environ: Environ, respond: Respond) -> None:
        counting = self._counting(began, STREAM, respond)

        def refuse(error: Exception) -> None:
            reply = failure(error, f"GET {PATH}")
            counting(reply.status, reply.headers, reply.body)

        in_parts: RespondInParts = environ[IN_PARTS]

        def send(parts: Parts) -> None:
            self._count(STREAM, 200, perf_counter() - began)
            in_parts(200, HEADERS, parts)

        try:
            streams.open(environ, send, refuse)
        except Exception as error:  # noqa: BLE001  # as above
            refuse(error)

    def _counting(self, began: float, name: str, respond: Respond) -> Respond:
        """Answers as `respond` does, and counts that before: who has the answer finds it counted."""

        def counting(status: int, headers: Headers, body: bytes) -> None:
            self._count(name, status, perf_counter() - began)
            respond(status, headers, body)

        return counting


def _handed_over(body: bytes, take_back: Callable[[], None]) -> Parts:
    """A body whose only part is taken back where the client is gone."""
    try:
        yield body
    except GeneratorExit:
        take_back()
        raise
