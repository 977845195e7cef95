"""Serving a WSGI application: bind, start, wait, stop.

granian's worker runs in this very process. Its own launcher would put a parent process beside it and offer no
way to wake blocked requests before it stops; the worker is what that launcher runs in its child.
"""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from granian import _granian
from granian._futures import _new_cbscheduler
from granian.http import HTTP1Settings

from peerbus.crew import Crew
from peerbus.errors import StartError
from peerbus.slow_bodies import BODY_SECONDS, SlowBodies
from peerbus.tls import Certificate

# granian's stubs lag behind these; the range in requirements.txt is one minor version for the same reason.
_Worker: Any = _granian.WSGIWorker
_SocketHolder: Any = _granian.SocketHolder
_new_scheduler: Any = _new_cbscheduler

BACKLOG = 2048
MAX_CONNECTIONS = 20_000
"""Connections open at once; more wait to be accepted."""
STOP_SECONDS = 3.0
"""How long requests under way may take to end after `stop`."""
STALL_SECONDS = 30.0
"""How long a client may take nothing of what it is sent."""
NEVER_SECONDS = 10**9
"""After which an idle thread would end."""
RUST_THREADS = 1
RUST_BLOCKING_THREADS = 512
"""granian's own default; they are started when needed."""
LARGEST_HEAD = 64 << 10
"""Bytes of a request's head, and of what is read at once of its body."""
NO_STATIC_FILES = None
OLDEST_TLS = "tls1.2"
NO_METRICS = (None, None)
Environ = dict[str, Any]
"""A request as WSGI gives it; who reads its body to the end takes `wsgi.input` out of it."""
Headers = list[tuple[str, str]]
Respond = Callable[[int, Headers, bytes], None]
"""Sends the answer to a request: status, headers, body. From any thread; all but the first answer are ignored."""
RespondInParts = Callable[[int, Headers, Iterator[bytes]], None]
"""Sends an answer whose body is a generator's parts, each made when the client took the one before.

It returns when the generator is at its end, or made a part that is not sent because the client is gone, and is closed.
"""
Application = Callable[[Environ, Respond], None]
"""Takes one request, which is its own until it returns, and sees to it that it is answered, now or later."""


class Patience(NamedTuple):
    """How many seconds a client may take: for the head of a request, also to begin one, and for its body."""

    head: float = 30.0
    body: float = BODY_SECONDS


PATIENCE = Patience()


class BindError(StartError):
    """The address cannot be listened on."""


def bind(host: str, port: int, stall_seconds: float = STALL_SECONDS) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `BindError`.

    Connections inherit from it to send at once: parts of an answer would wait for each other's acknowledgement, 40 ms.
    Where the system can (Linux), it breaks off connections whose client takes nothing of what it is sent, or is gone
    without a word, for `stall_seconds`: a thread that sends a stream would never find out.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stall_seconds * 1000))
        return listener
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
    except UnicodeError:
        reason = "not a host name"
    raise BindError(f"Cannot listen on {host} port {port}: {reason}.")


def url_of(listener: socket.socket, host: str | None = None, secured: bool = False) -> str:
    """The URL that a listening socket is reached at: under `host`, or else from this machine."""
    bound, port = listener.getsockname()[:2]
    host = host or {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)  # noqa: S104  # compared, not bound
    scheme = "https" if secured else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _tls(certificate: Certificate | None) -> tuple[Any, ...]:
    """What granian is told of TLS: on or off, certificate, key, its password, and what it asks of clients: nothing."""
    file, key = (str(certificate.file), str(certificate.key)) if certificate else (None, None)
    return certificate is not None, file, key, None, OLDEST_TLS, None, [], False


class Server:
    """One HTTP/1.1 server on a bound socket, with a pool of threads: one works, and others when that is blocked."""

    def __init__(
        self,
        app: Application,
        listener: socket.socket,
        threads: int,
        before_stop: Callable[[], None] = lambda: None,
        patience: Patience = PATIENCE,
        certificate: Certificate | None = None,
    ) -> None:
        """Takes the socket over: it is closed when the server stops.

        `before_stop` is called once when stopping begins, to let blocked requests end. With a
        `certificate` it is served by https.
        """
        self.url = url_of(listener, secured=certificate is not None)
        self._before_stop = before_stop
        self._stop = threading.Event()
        self._stopped = threading.Event()
        self._signal = _granian.WorkerSignal()
        self._signal.add_cb(self._stopped.set)
        loop = asyncio.new_event_loop()
        loop.close()  # granian asks for one, and runs nothing of a WSGI application in it
        self._crew = Crew(SlowBodies(threads, patience.body))
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
            HTTP1Settings(header_read_timeout=int(patience.head * 1000), max_buffer_size=LARGEST_HEAD),
            None,
            NO_STATIC_FILES,
            *_tls(certificate),
            NO_METRICS,
        )

    def start(self) -> None:
        """Begin to serve, on threads of its own."""
        self._crew.start()
        self._worker.serve_mtr(self._scheduler, None, self._signal)

    def stop(self) -> None:
        """Ask the server to stop: no new connections, requests under way are answered. Returns at once."""
        self._stop.set()

    def run(self) -> bool:
        """Serve until `stop` is called; false when requests under way did not end in `STOP_SECONDS`."""
        self.start()
        return self.wait()

    def wait(self) -> bool:
        """Wait for `stop` to be called, then for the requests under way."""
        self._stop.wait()
        self._before_stop()
        self._crew.close()
        self._signal.set()
        return self._stopped.wait(STOP_SECONDS)

    def stop_on_signals(self) -> None:
        """Stop on SIGTERM and Ctrl-C.

        The system may hand a signal to any thread, and Python's handlers then wait for the main thread, which
        sleeps. The byte that Python writes at once, from whichever thread, wakes one that does nothing else.
        """
        arrived, arriving = os.pipe()
        os.set_blocking(arriving, False)
        signal.set_wakeup_fd(arriving, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._stop_after, args=(arrived,), name="signals", daemon=True).start()

    def _stop_after(self, arrived: int) -> None:
        os.read(arrived, 1)
        self.stop()
