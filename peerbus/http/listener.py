"""Sockets to listen on, and the URLs that they are reached at."""

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
"""Connections that a server has open at once; more wait, or are closed."""
STALL_SECONDS = 30.0
"""How long a client may take nothing of what it is sent."""


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


def allow_sockets() -> int:
    """Let this process, and those that it starts, open as many files and sockets as the system does; how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def url_of(listener: socket.socket, host: str | None = None, secured: bool = False) -> str:
    """The URL that a listening socket is reached at: under `host`, or else from this machine."""
    bound, port = listener.getsockname()[:2]
    host = host or {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)  # noqa: S104  # compared, not bound
    scheme = "https" if secured else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


STOP_SECONDS = 3.0
"""How long requests under way may take to end after `stop`."""
LEAST_SECONDS = 1.0
"""How long they may take if what comes before took all that time."""


class Stoppable(ABC):
    """Something that runs until it is told to stop, by whichever thread, or by a signal."""

    def __init__(self, before_stop: Callable[[], None]) -> None:
        """`before_stop` is called once when stopping begins, to let blocked requests end."""
        self._stop = threading.Event()
        self._before_stop = before_stop

    def stop(self) -> None:
        """Ask it to stop: no new connections, requests under way are answered. Returns at once."""
        self._stop.set()

    def wait(self) -> bool:
        """Wait for `stop` to be called, then for the requests under way; false if some did not end in time."""
        self._stop.wait()
        begun = monotonic()
        self._before_stop()
        return self._end(max(LEAST_SECONDS, STOP_SECONDS - (monotonic() - begun)))

    @abstractmethod
    def _end(self, seconds: float) -> bool:
        """Take nothing more on, and wait so long for what is under way; false if it did not end."""

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
