"""Sockets to listen on, and the URLs that they are reached at."""

import resource
import socket

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
