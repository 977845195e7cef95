"""Serving an application: start, wait, stop.

granian's worker runs in this very process. Its own launcher would put a parent process beside it and offer no
way to wake blocked requests before it stops; the worker is what that launcher runs in its child.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

from granian import _granian
from granian._futures import _new_cbscheduler
from granian.http import HTTP1Settings

from peerbus.crew import Crew
from peerbus.http.listener import BACKLOG, MAX_CONNECTIONS, Stoppable, url_of
from peerbus.http.timeouts import LARGEST_HEAD, TIMEOUTS, BodyTimeouts, Timeouts
from peerbus.http.tls import Certificate
from peerbus.http.types import Application

# granian's stubs lag behind these; the range in requirements.txt is one minor version for the same reason.
_Worker: Any = _granian.WSGIWorker
_SocketHolder: Any = _granian.SocketHolder
_new_scheduler: Any = _new_cbscheduler

NEVER_SECONDS = 10**9
"""After which an idle thread would end."""
RUST_THREADS = 1
RUST_BLOCKING_THREADS = 512
"""granian's own default; they are started when needed."""
PIECE = 2 * LARGEST_HEAD
"""Bytes that granian reads at once, so that a batch of 1,000 small messages is one piece.

A head that is not whole when so many have come is refused; the last piece may have made it twice as large.
"""
UNFINISHED = [("Content-Length", "1")]
NO_STATIC_FILES = None
OLDEST_TLS = "tls1.2"
NO_METRICS = (None, None)


def _cut_off(protocol: Any) -> None:
    """Close the connection of a request that is at `protocol`.

    An answer that ends before its declared length leaves an HTTP/1.1 server nothing else, and ends the reading.
    """
    protocol.response_iter(408, UNFINISHED, iter(()))


def _tls(certificate: Certificate | None) -> tuple[Any, ...]:
    """What granian is told of TLS: on or off, certificate, key, its password, and what it asks of clients: nothing."""
    file, key = (str(certificate.file), str(certificate.key)) if certificate else (None, None)
    return certificate is not None, file, key, None, OLDEST_TLS, None, [], False


class Server(Stoppable):
    """One HTTP/1.1 server on a bound socket, with a pool of threads: one works, and others when that is blocked."""

    def __init__(
        self,
        app: Application,
        listener: socket.socket,
        threads: int,
        before_stop: Callable[[], None] = lambda: None,
        timeouts: Timeouts = TIMEOUTS,
        certificate: Certificate | None = None,
    ) -> None:
        """Takes the socket over: it is closed when the server stops.

        `before_stop` is called once when stopping begins, to let blocked requests end. With a
        `certificate` it is served by https.
        """
        super().__init__(before_stop)
        self.url = url_of(listener, secured=certificate is not None)
        self._stopped = threading.Event()
        self._signal = _granian.WorkerSignal()
        self._signal.add_cb(self._stopped.set)
        loop = asyncio.new_event_loop()
        loop.close()  # granian asks for one, and runs nothing of a WSGI application in it
        self._crew = Crew(BodyTimeouts(threads, _cut_off, timeouts.body))
        self._scheduler = _new_scheduler(loop, self._crew.serving(app), impl_asyncio=True)
        self._worker = _Worker(
            1,
            (None, _SocketHolder(listener.detach(), False, BACKLOG)),
            None,
            RUST_THREADS,
            RUST_BLOCKING_THREADS,
            threads,
            NEVER_SECONDS,
            MAX_CONNECTIONS,
            "1",
            HTTP1Settings(header_read_timeout=int(timeouts.head * 1000), max_buffer_size=PIECE),
            None,
            NO_STATIC_FILES,
            *_tls(certificate),
            NO_METRICS,
        )

    def start(self) -> None:
        """Begin to serve, on threads of its own."""
        self._crew.start()
        self._worker.serve_mtr(self._scheduler, None, self._signal)

    def _end(self, seconds: float) -> bool:
        self._crew.close()
        self._signal.set()
        return self._stopped.wait(seconds)
