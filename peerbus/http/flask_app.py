"""The Flask application made from a table of endpoints."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from threading import Lock
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import NotFound

from peerbus.future import Future
from peerbus.http.event_stream import CONTENT_TYPE, PATH
from peerbus.http.handler import Handler
from peerbus.http.pages import SECURITY, Page
from peerbus.http.reply import Reply, failure
from peerbus.http.types import Environ, Headers, Respond
from peerbus.wire.endpoints import Endpoint

STREAM = Page(PATH, CONTENT_TYPE, bytes)
"""What Flask knows of streams, which the door sends: their path, and their headers."""

WSGIApplication = Callable[[Environ, Any], Iterable[bytes]]


def create_app(routes: Mapping[Endpoint, Handler], pages: Sequence[Page] = ()) -> Flask:
    """A Flask application with one route a row, which answers in JSON, as every error is, and one a page."""
    app = Flask("peerbus", static_folder=None)
    app.url_map.merge_slashes = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.before_request(_refuse_leading_slashes)
    for endpoint, handler in routes.items():
        app.add_url_rule(
            endpoint.path,
            endpoint.name,
            _view(handler),
            methods=[endpoint.method],
            provide_automatic_options=False,
        )
    for page in (*pages, STREAM):
        app.add_url_rule(page.path, f"page {page.path}", _shown(page), methods=["GET"], provide_automatic_options=False)
    app.register_error_handler(Exception, lambda error: _response(failure(error, _call())))
    return app


def when_needed(make: Callable[[], Flask]) -> WSGIApplication:
    """An application that is made when the first request comes.

    Compiling its routes takes tens of milliseconds, which peer nodes that start by the hundred had rather not spend.
    """
    lock = Lock()
    once = cache(make)

    def answer(environ: Environ, start_response: Any) -> Iterable[bytes]:
        with lock:
            app = once()
        return app(environ, start_response)

    return answer


def _view(handler: Handler) -> Any:
    def view() -> Response:
        reply = handler(request.environ)
        return _response(reply.result() if isinstance(reply, Future) else reply)

    return view


def _shown(page: Page) -> Any:
    def view() -> Response:
        if page.admit:
            page.admit(request.environ)
        return Response(page.make(), headers=SECURITY, content_type=page.content_type)

    return view


def _refuse_leading_slashes() -> None:
    """Flask takes `//publish` for `/publish`."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise NotFound


def _call() -> str:
    path = request.environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
    return f"{request.method} {path}"


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, reply.headers)


CONSTANTS = {
    "SCRIPT_NAME": "",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}
"""What PEP 3333 asks for beside what the request brings."""
OF_BODY = ("wsgi.input", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING")


def respond_by(app: WSGIApplication, environ: Environ, respond: Respond) -> None:
    """Let a WSGI application answer a request, in this thread.

    The body of a HEAD means nothing, and is not waited for: who sends it slowly could not be cut off.
    """
    if environ["REQUEST_METHOD"] == "HEAD":
        for name in OF_BODY:
            environ.pop(name, None)
    status = 500
    headers: Headers = []

    def start_response(line: str, fields: Headers, _: Any = None) -> None:
        nonlocal status, headers
        status, headers = int(line[:3]), fields

    body = b"".join(app(environ | CONSTANTS, start_response))
    respond(status, headers, body)
