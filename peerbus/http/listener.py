"""Listening sockets, their URLs, and services that are stopped by a call or a signal."""

import os
import resource
import signal
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic

from peerbus.errors import StartError

BACKLOG = 2048
MAX_CONNECTIONS = 20_000
"""Connections that a server has open at once; further ones are closed."""
STALL_SECONDS = 30.0
"""Seconds for which a client may take no data that is sent to it."""


class BindError(StartError):
    """The address cannot be listened on."""


def bind(host: str, port: int, stall_seconds: float = STALL_SECONDS) -> socket.socket:
    """A listening socket; port 0 takes a free port. Raises `BindError`.

    Its connections send at once (TCP_NODELAY); otherwise parts of an answer would wait for each other's
    acknowledgement, 40 ms. On Linux the system ends a connection whose client takes nothing for `stall_seconds`
    (TCP_USER_TIMEOUT), also that of a client that is gone without a word.
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


def allow_sockets() -> int:
    """Raise the limit of open files of this process and its children as far as allowed; returns the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def open_files() -> int:
    """How many files this process may have open, its connections included."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def url_of(listener: socket.socket, host: str | None = None, secured: bool = False) -> str:
    """The URL of a listening socket: with `host` for its host, by default as this machine reaches it."""
    bound, port = listener.getsockname()[:2]
    host = host or {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)  # noqa: S104  # compared, not bound
    scheme = "https" if secured else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


STOP_SECONDS = 3.0
"""Seconds that requests under way may take to end after `stop`."""
LEAST_SECONDS = 1.0
"""Seconds that they may take at least, if `before_stop` took all that time."""


class Stoppable(ABC):
    """A service that runs until any thread, or a signal, asks it to stop."""

    def __init__(self, before_stop: Callable[[], None]) -> None:
        """`before_stop` is called once when stopping begins, to let waiting requests end."""
        self._stop = threading.Event()
        self._before_stop = before_stop

    def stop(self) -> None:
        """Ask the service to stop, and return at once: it takes no new connections, and answers requests under way."""
        self._stop.set()

    def wait(self) -> bool:
        """Wait for `stop`, then for the requests under way; false if some did not end in time."""
        self._stop.wait()
        begun = monotonic()
        self._before_stop()
        return self._end(max(LEAST_SECONDS, STOP_SECONDS - (monotonic() - begun)))

    @abstractmethod
    def _end(self, seconds: float) -> bool:
        """Accept nothing more, and wait up to so many seconds for requests under way; false if some did not end."""

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
