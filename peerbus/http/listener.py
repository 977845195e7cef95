"""Listening sockets, their URLs, and services that are stopped by a call or a signal."""

import errno
import os
import resource
import signal
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import monotonic
from typing import Any, NamedTuple

from peerbus.errors import NotYet, StartError
from peerbus.stop_signals import stop_signals

BACKLOG = 2048
MAX_CONNECTIONS = 20_000
"""Connections that a server has open at once; further ones are closed."""
STALL_SECONDS = 30.0
"""Seconds for which a client may take no data that is sent to it."""
MISSING_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
TRIES = 10
"""Free ports tried until one is free in both families."""
ALL_IPV4 = "0.0.0.0"  # noqa: S104  # compared, not bound
ALL = "::"


class BindError(StartError):
    """The address can never be listened on."""


class BindNotYet(BindError, NotYet):
    """The address cannot be listened on now: it is not there yet, does not resolve, or its port is in use."""


class Listener(NamedTuple):
    """The sockets that a service listens on, all at one port: one, or one for each family that a name has."""

    sockets: tuple[socket.socket, ...]

    hosts: list[str]
    """The addresses of the sockets."""
    port: int

    def urls(self, host: str | None = None, secured: bool = False) -> list[str]:
        """Its URLs: one with `host` for the host, by default one for each address, as this machine reaches it."""
        hosts = [host] if host else [{ALL_IPV4: "127.0.0.1", ALL: "::1"}.get(each, each) for each in self.hosts]
        shown = [f"[{each}]" if ":" in each else each for each in hosts]
        return [f"{'https' if secured else 'http'}://{each}:{self.port}" for each in shown]

    def described(self, secured: bool = False) -> str:
        """Its URLs in words, and whether it listens on all addresses."""
        beyond = {ALL_IPV4: " (all IPv4 addresses)", ALL: " (all addresses, IPv4 and IPv6)"}
        return " and ".join(self.urls(secured=secured)) + beyond.get(self.hosts[0], "")

    def close(self) -> None:
        """Listen no more."""
        for each in self.sockets:
            each.close()


def bind(host: str, port: int, stall_seconds: float = STALL_SECONDS) -> Listener:
    """Listen on an address, or on all addresses of a name; port 0 takes a free port. Raises `BindError`.

    The address `::` takes IPv4 as well. Connections send at once (TCP_NODELAY); otherwise parts of an answer would wait
    for each other's acknowledgement, 40 ms. On Linux the system ends a connection whose client takes nothing for
    `stall_seconds` (TCP_USER_TIMEOUT), also that of a client that is gone without a word.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys((family, address) for family, *_, address in found))
        for left in reversed(range(TRIES)):
            try:
                return _listener(_bound(addresses, port, stall_seconds))
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE or not left:
                    raise
        raise AssertionError
    except UnicodeError:
        raise BindError(f"Cannot listen on {host} port {port}: not a host name.") from None
    except OSError as error:
        kind = BindError if isinstance(error, PermissionError) else BindNotYet
        raise kind(f"Cannot listen on {host} port {port}: {str(error.strerror).partition(' (')[0]}.") from None


def _listener(sockets: Sequence[socket.socket]) -> Listener:
    names = [each.getsockname() for each in sockets]
    return Listener(tuple(sockets), [name[0] for name in names], names[0][1])


def _bound(
    addresses: Sequence[tuple[socket.AddressFamily, tuple[Any, ...]]], port: int, stall_seconds: float
) -> list[socket.socket]:
    """A socket at each address that this machine has, at least one; raises `OSError`."""
    with ExitStack() as opened:
        listening: list[socket.socket] = []
        missing: OSError | None = None
        for family, address in addresses:
            try:
                each = _listening(family, (address[0], port, *address[2:]), stall_seconds)
            except OSError as error:
                if error.errno not in MISSING_FAMILY:
                    raise
                missing = error
                continue
            opened.callback(each.close)
            listening.append(each)
            port = port or each.getsockname()[1]
        if missing and not listening:
            raise missing
        opened.pop_all()
        return listening


def _listening(family: socket.AddressFamily, address: tuple[Any, ...], stall_seconds: float) -> socket.socket:
    both = address[0] == ALL and socket.has_dualstack_ipv6()
    listener = socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stall_seconds * 1000))
    return listener


def allow_sockets() -> int:
    """Raise the limit of open files of this process and its children as far as allowed; returns the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def open_files() -> int:
    """How many files this process may have open, its connections included."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


MAPPED = "::ffff:"


def client_address(name: tuple[str, int] | None) -> str:
    """The address in a socket's name; an IPv4 client of a socket for both families has its IPv4 address."""
    host = name[0] if name else ""
    return host.removeprefix(MAPPED) if "." in host else host


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
        """Stop on SIGTERM and Ctrl-C, and on SIGHUP unless it is ignored.

        The system may hand a signal to any thread, and Python's handlers then wait for the main thread, which
        sleeps. The byte that Python writes at once, from whichever thread, wakes one that does nothing else.
        """
        arrived, arriving = os.pipe()
        os.set_blocking(arriving, False)
        signal.set_wakeup_fd(arriving, warn_on_full_buffer=False)
        for number in stop_signals():
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._stop_after, args=(arrived,), name="signals", daemon=True).start()

    def _stop_after(self, arrived: int) -> None:
        os.read(arrived, 1)
        self.stop()
