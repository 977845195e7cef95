"""Answering a request by a WSGI application."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from peerbus.application import Environ, Headers, Respond

WSGIApplication = Callable[[Environ, Any], Iterable[bytes]]

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
