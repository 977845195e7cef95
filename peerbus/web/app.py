"""The Flask application made from a table of endpoints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from threading import Lock
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import NotFound

from peerbus.application import Environ
from peerbus.endpoints import Endpoint
from peerbus.later import Later
from peerbus.web.events import CONTENT_TYPE
from peerbus.web.handlers import Handler
from peerbus.web.pages import SECURITY, Page
from peerbus.web.reply import Reply, failure
from peerbus.web.streams import PATH
from peerbus.web.wsgi import WSGIApplication

STREAM = Page(PATH, CONTENT_TYPE, bytes)
"""What Flask knows of streams, which the door sends: their path, and their headers."""


def create_app(routes: Mapping[Endpoint[Any, Any], Handler], pages: Sequence[Page] = ()) -> Flask:
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
        return _response(reply.result() if isinstance(reply, Later) else reply)

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
