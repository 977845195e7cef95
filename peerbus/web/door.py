"""The way in: known calls are answered here, everything else by Flask."""

from collections.abc import Mapping
from typing import Any

from flask import Flask

from peerbus.endpoints import Endpoint
from peerbus.later import Later
from peerbus.serving import Environ, Respond
from peerbus.web.handlers import Handler
from peerbus.web.reply import Reply, failure
from peerbus.web.wsgi import respond_by


class Door:
    """An application over a Flask application that has the same calls as routes.

    A call whose method and path are exactly a row of the table goes straight to its handler: Flask's request
    context costs thirty times what the broker does. Handlers, errors and bodies are the same either way.
    """

    def __init__(self, app: Flask, routes: Mapping[Endpoint[Any, Any], Handler]) -> None:
        self._app = app
        self._handlers = {(endpoint.method, endpoint.path): handler for endpoint, handler in routes.items()}

    def __call__(self, environ: Environ, respond: Respond) -> None:
        """Answer one request."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        handler = self._handlers.get((method, path))
        if handler is None:
            respond_by(self._app, environ, respond)
            return
        try:
            reply = handler(environ)
        except Exception as error:  # noqa: BLE001  # this is where every error becomes an answer
            reply = failure(error, f"{method} {path}")
        if isinstance(reply, Later):
            reply.when_done(lambda done: _respond(done, f"{method} {path}", respond))
        else:
            respond(reply.status, reply.headers, reply.body)


def _respond(done: Later[Reply], call: str, respond: Respond) -> None:
    try:
        reply = done.result()
    except Exception as error:  # noqa: BLE001  # as above
        reply = failure(error, call)
    respond(reply.status, reply.headers, reply.body)
