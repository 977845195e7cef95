"""The way in: known calls are answered here, everything else by Flask."""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask

from peerbus.endpoints import Endpoint
from peerbus.web.handlers import Handler
from peerbus.web.reply import failure
from peerbus.web.request import Environ

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Door:
    """A WSGI application over a Flask application that has the same calls as routes.

    A call whose method and path are exactly a row of the table goes straight to its handler: Flask's request
    context costs thirty times what the broker does. Handlers, errors and bodies are the same either way.
    """

    def __init__(self, app: Flask, routes: Mapping[Endpoint[Any, Any], Handler]) -> None:
        self._app = app
        self._handlers = {(endpoint.method, endpoint.path): handler for endpoint, handler in routes.items()}

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        handler = self._handlers.get((method, path))
        if handler is None:
            return self._app(environ, start_response)
        try:
            reply = handler(environ)
        except Exception as error:  # noqa: BLE001  # this is where every error becomes an answer
            reply = failure(error, f"{method} {path}")
        start_response(STATUS_LINES[reply.status], reply.headers)
        return [reply.body]
