"""Guards in front of the routes: hosts, origins and rates.

The first two depend on a head alone, so they are decided once for each head, and not for each request.
"""

import re
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from ipaddress import IPv6Address, ip_address
from time import monotonic

from peerbus.errors import HostNotAllowed, OriginNotAllowed, PeerbusError, RateLimited
from peerbus.http.dispatch import OTHER, HandlerRoute, refuse
from peerbus.http.handler import Guard
from peerbus.http.request import LONGEST_SHOWN
from peerbus.http.types import Head, Headers, Reply, Request


@dataclass(frozen=True, slots=True)
class Guards:
    """Restrictions on callers, the same for indexing servers and peer nodes."""

    hosts: Sequence[str] = ()
    """Names that the server is called by. Without any, a server that listens beyond loopback takes every name."""
    origins: Sequence[str] = ()
    """Origins of pages that may call, `*` for all."""
    rate_limit: int | None = None
    """Requests a second that each client may make."""


NO_GUARDS = Guards()
HandlerRouter = Callable[[Head], HandlerRoute]


def guarded(
    router: HandlerRouter, guards: Guards, listening_on: Collection[str], own_name: str = "", secured: bool = False
) -> HandlerRouter:
    """`router` behind its guards.

    The server listens at the addresses `listening_on`, by https where it is `secured`, and may be known to others by
    `own_name`.
    """
    hosts = Hosts([*guards.hosts, own_name]) if guards.hosts or all(map(is_loopback, listening_on)) else None
    origins = Origins(guards.origins, "https" if secured else "http")
    limits: tuple[Guard, ...] = (RateLimit(guards.rate_limit).admit,) if guards.rate_limit else ()

    def route(head: Head) -> HandlerRoute:
        found = router(head)
        try:
            if hosts:
                hosts.check(head.headers.get("host", ""))
            shared = origins.headers_for(head)
        except PeerbusError as error:
            return found.behind([*limits, partial(refuse, error)], ())
        if head.method == "OPTIONS" and shared and "access-control-request-method" in head.headers:
            return HandlerRoute(OTHER, Preflight(), _count_nothing, guards=limits, headers=shared)
        return found.behind(limits, shared) if limits or shared else found

    return route


def _count_nothing(*_: object) -> None:
    """A preflight is not a call."""


class Preflight:
    """Answers the question of a browser whether a page may make a call."""

    guards: Sequence[Guard] = ()
    max_body = 0

    def __call__(self, request: Request) -> Reply:  # noqa: ARG002  # all are answered alike
        """Answer with the methods and headers that a page may use."""
        return Reply(204, b"", PREFLIGHT)


HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:/@\s]*?)\.?)(?::[0-9]*)?")
"""A Host header in lower case: an IPv6 address or a name, and a port."""


class Hosts:
    """Knows which Host headers are served: loopback names and addresses, and the names that were allowed.

    A browser sends the name that a page was loaded from. The owner of a name can let it mean 127.0.0.1 after the
    page is loaded, and so reach a server there as if it were the page's own server ("DNS rebinding").
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = {name.strip("[]").removesuffix(".").lower() for name in allowed if name}

    def check(self, header: str) -> None:
        """Raise `HostNotAllowed` unless requests with this Host header are served; an empty one means none."""
        if not header:
            return
        match = HOST.fullmatch(header.lower())
        name = (match[1] or match[2]) if match else ""
        if not (name in self._allowed or is_loopback(name)):
            raise HostNotAllowed(
                f"This server is not called '{header[:LONGEST_SHOWN]}'. Call it by 127.0.0.1 or localhost, or by a "
                "name that it was started with: --allow-host NAME."
            )


def is_loopback(host: str) -> bool:
    """Whether a host name or address, in lower case, is this machine's own loopback, without looking it up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip = ip_address(host)
    except ValueError:
        return False
    return ((isinstance(ip, IPv6Address) and ip.ipv4_mapped) or ip).is_loopback


ALL = "*"
PREFLIGHT: Headers = [
    ("Access-Control-Allow-Methods", "GET, POST, DELETE"),
    ("Access-Control-Allow-Headers", "Content-Type, Authorization, Last-Event-ID, Cache-Control"),
    ("Access-Control-Max-Age", "600"),
]
EXPOSED = ("Access-Control-Expose-Headers", "Retry-After")


class Origins:
    """Knows which pages may call: the server's own, and those of allowed origins (CORS, fetch.spec.whatwg.org).

    A browser names the origin of the page with each call to another origin, and with each call to its own that may
    change something. Without this check a page from anywhere could make those calls that need no JSON.
    """

    def __init__(self, allowed: Collection[str], scheme: str) -> None:
        """`allowed` are origins such as `https://example.com`, or `*` for all; `scheme` is the server's own."""
        self._all = ALL in allowed
        self._allowed = {origin.rstrip("/").lower() for origin in allowed}
        self._scheme = scheme

    def headers_for(self, head: Head) -> Headers:
        """The headers that let a page of another origin read the replies; none for other callers.

        Raises `OriginNotAllowed`.
        """
        origin = head.headers.get("origin")
        if origin is None:
            return ()
        if not self._all and origin.lower() not in self._allowed:
            if origin.lower() == f"{self._scheme}://{head.headers.get('host', '')}".lower():
                return ()
            raise OriginNotAllowed(
                f"Pages from '{origin[:LONGEST_SHOWN]}' may not call this server, "
                "unless it is started with --allow-origin and that origin."
            )
        if self._all:
            return (("Access-Control-Allow-Origin", ALL), EXPOSED)
        return (("Access-Control-Allow-Origin", origin), ("Vary", "Origin"), EXPOSED)


MOST_CLIENTS = 10_000
"""Clients remembered; beyond it, those that called first are forgotten and begin anew."""
ROUNDING = 1e-6


class RateLimit:
    """A number of requests a second for each client, and as many at once after a second without any (a token bucket).

    It keeps one time for each client: when its requests so far would be used up, had they come evenly.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._interval = 1 / per_second
        self._ahead = 1 - self._interval + ROUNDING
        """Seconds that a client may be ahead of time and still make a request."""
        self._clock = clock
        self._lock = threading.Lock()
        self._used_up: dict[str, float] = {}

    def admit(self, request: Request) -> None:
        """Count a request of its client; raises `RateLimited`, and counts nothing, where it is one too many."""
        self.take(request.client)

    def take(self, address: str) -> None:
        """Count a request from an address; raises `RateLimited`, and counts nothing, where it is one too many."""
        now, client = self._clock(), client_of(address)
        with self._lock:
            used_up = max(self._used_up.pop(client, now), now)
            refused = used_up - now > self._ahead
            self._used_up[client] = used_up if refused else used_up + self._interval
            if len(self._used_up) > MOST_CLIENTS:
                del self._used_up[next(iter(self._used_up))]
        if refused:
            raise RateLimited(f"More than {self._per_second} requests a second came from {address}. Call less often.")


@lru_cache(maxsize=MOST_CLIENTS)
def client_of(address: str) -> str:
    """The client of an address: an IPv4 address, or the /64 network of an IPv6 address."""
    if ":" not in address:
        return address
    parsed = IPv6Address(address)
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
