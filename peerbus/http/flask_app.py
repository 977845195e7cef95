"""The Flask application made from a table of endpoints, and its place behind the server."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from threading import Lock
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from peerbus.future import Future
from peerbus.http.event_stream import CONTENT_TYPE, PATH
from peerbus.http.handler import Guard, Handler
from peerbus.http.pages import SECURITY, Page
from peerbus.http.reply import failure
from peerbus.http.types import LargeBody, Reply, Request
from peerbus.wire.endpoints import Endpoint

STREAM = Page(PATH, CONTENT_TYPE, bytes)
"""The route of streams in Flask, which knows their path; the dispatch answers them."""
REQUEST = "peerbus.request"
"""The request itself, in the environment of a WSGI application."""
CONSTANTS = {
    "SCRIPT_NAME": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "0",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.url_scheme": "http",
    "wsgi.version": (1, 0),
}
"""The constant part of the environment that PEP 3333 requires."""

WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


def create_app(routes: Mapping[Endpoint, Handler], pages: Sequence[Page] = ()) -> Flask:
    """A Flask application with one route a row, which answers in JSON, as every error is, and one a page."""
    app = Flask("peerbus", static_folder=None)
    app.url_map.merge_slashes = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.before_request(_refuse_other_spellings)
    for endpoint, handler in routes.items():
        app.add_url_rule(
            endpoint.path,
            endpoint.name,
            _call_view(handler),
            methods=[endpoint.method],
            provide_automatic_options=False,
        )
    for page in (*pages, STREAM):
        app.add_url_rule(
            page.path, f"page {page.path}", _page_view(page), methods=["GET"], provide_automatic_options=False
        )
    app.register_error_handler(Exception, _error_view)
    return app


def when_needed(make: Callable[[], Flask]) -> WSGIApplication:
    """An application that is made when the first request comes.

    Compiling its routes takes tens of milliseconds, too long for peer nodes that start by the hundred.
    """
    lock = Lock()
    once = cache(make)

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with lock:
            app = once()
        return app(environ, start_response)

    return answer


class FlaskHandler:
    """Has a WSGI application answer requests; it blocks the thread that calls it."""

    guards: Sequence[Guard] = ()

    def __init__(self, app: WSGIApplication, max_body: int = 0) -> None:
        """`max_body` is 0 if Flask answers no request with a body."""
        self._app = app
        self.max_body = max_body

    def __call__(self, request: Request) -> Reply:
        """Answer a request."""
        status, headers = 500, [("", "")]

        def start_response(line: str, fields: list[tuple[str, str]], _: Any = None) -> None:
            nonlocal status, headers
            status, headers = int(line[:3]), fields

        body = b"".join(self._app(_environ(request), start_response))
        return Reply(status, body, [(name, value) for name, value in headers if name.lower() != "content-length"])


def _environ(request: Request) -> dict[str, Any]:
    """The request as PEP 3333 has it. A HEAD is answered as a GET; the connection leaves its body out."""
    head = request.head
    environ = CONSTANTS | {
        "REQUEST_METHOD": "GET" if head.method == "HEAD" else head.method,
        "PATH_INFO": head.path,
        "QUERY_STRING": head.query,
        "REMOTE_ADDR": request.client,
        "SERVER_PROTOCOL": "HTTP/1.0" if head.is_old else "HTTP/1.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.input": BytesIO(request.body),
        REQUEST: request,
    }
    for name, value in head.headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            environ[f"HTTP_{key}"] = value
    return environ


def _request() -> Request:
    found: Request = request.environ[REQUEST]
    return found


def _call_view(handler: Handler) -> Any:
    def view() -> Response:
        asked = _request()
        for guard in handler.guards:
            guard(asked)
        reply = handler(asked)
        return _response(reply.result() if isinstance(reply, Future) else reply)

    return view


def _page_view(page: Page) -> Any:
    def view() -> Response:
        if page.guard:
            page.guard(_request())
        return Response(page.make(), headers=SECURITY, content_type=page.content_type)

    return view


def _error_view(error: Exception) -> Response:
    """The answer to a request that raised an error, which loses its traceback then: Flask's request refers to both."""
    reply = failure(error, _request().head.call)
    error.__traceback__ = error.__context__ = None
    return _response(reply)


def _refuse_other_spellings() -> None:
    """Flask takes `//publish` for `/publish`, and the method `post` for POST."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise NotFound
    method = _request().head.method
    if request.url_rule and method != method.upper():
        raise MethodNotAllowed(request.url_rule.methods)


def _response(reply: Reply) -> Response:
    body = b"".join(reply.body) if isinstance(reply.body, LargeBody) else reply.body
    return Response(body, reply.status, list(reply.headers))
