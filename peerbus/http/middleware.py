"""The web pages that may call a server."""

import re
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from time import monotonic

from peerbus.errors import HostNotAllowed, OriginNotAllowed, PeerbusError, RateLimited
from peerbus.http.reply import failure
from peerbus.http.types import IN_PARTS, Application, Environ, Headers, Respond, RespondInParts


@dataclass(frozen=True, slots=True)
class Guards:
    """Who may call, beside who may anyway; the same for indexing servers and peer nodes."""

    hosts: Sequence[str] = ()
    """Names that the server is called by; with none, and not listening on loopback alone, any name is."""
    origins: Sequence[str] = ()
    """Origins of pages that may call, `*` for all."""
    rate_limit: int | None = None
    """Requests a second that each client may make."""


NO_GUARDS = Guards()


def guarded(app: Application, guards: Guards, listening_on: str, own_name: str = "") -> Application:
    """`app` behind its guards, served at the address `listening_on`, which may be told to others by `own_name`."""
    hosts = Hosts([*guards.hosts, own_name]) if guards.hosts or is_loopback(listening_on) else None
    known = hosts.known if hosts else ()
    origins = Origins(guards.origins)
    rate_limit = RateLimit(guards.rate_limit) if guards.rate_limit else None

    def enter(environ: Environ, respond: Respond) -> None:
        try:
            if hosts and environ["HTTP_HOST"] not in known:
                hosts.check(environ["HTTP_HOST"])
            if "HTTP_ORIGIN" in environ:
                admitted = origins.admit(environ, respond)
                if admitted is None:
                    return
                respond = admitted
            if rate_limit:
                rate_limit.take(environ["REMOTE_ADDR"])
        except PeerbusError as error:
            reply = failure(error, f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            respond(reply.status, reply.headers, reply.body)
            return
        app(environ, respond)

    return enter


HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:/@\s]*?)\.?)(?::[0-9]*)?")
"""A Host header in lower case: an IPv6 address or a name, and a port."""
MOST_KNOWN = 1000
LONGEST_TOLD = 100


class Hosts:
    """Says which Host headers are served: those of this machine's loopback, and names that were allowed.

    A browser sends the name that a page was loaded from. Whoever owns a name can let it mean 127.0.0.1 after the
    page is loaded, and so reach what listens there as if it were the page's own server ("DNS rebinding").
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = {name.strip("[]").removesuffix(".").lower() for name in allowed if name}
        self.known = {""}
        """Some of the headers that are served. A request without one, which comes from no browser, has an empty one."""

    def check(self, header: str) -> None:
        """Raise `HostNotAllowed` unless requests with this Host header are served."""
        match = HOST.fullmatch(header.lower())
        name = (match[1] or match[2]) if match else ""
        if not (name in self._allowed or is_loopback(name)):
            told = header[:LONGEST_TOLD]
            raise HostNotAllowed(
                f"This server is not called '{told}'. Call it by 127.0.0.1 or localhost, or by a name that it was "
                "started with: --allow-host NAME."
            )
        if len(self.known) < MOST_KNOWN:
            self.known.add(header)


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
    ("Access-Control-Allow-Headers", "Content-Type, Authorization, Last-Event-ID"),
    ("Access-Control-Max-Age", "600"),
]
LONGEST_TOLD = 100


class Origins:
    """Says which pages may call: the server's own, and those whose origin was allowed (CORS, fetch.spec.whatwg.org).

    A browser names the origin of the page with each call to another one, and with each of its own that may change
    something. Without this a page from anywhere could make those calls of ours that need no JSON.
    """

    def __init__(self, allowed: Collection[str]) -> None:
        """`allowed` are origins such as `https://example.com`, or `*` for all."""
        self._all = ALL in allowed
        self._allowed = {origin.rstrip("/").lower() for origin in allowed}

    def admit(self, environ: Environ, respond: Respond) -> Respond | None:
        """How to answer a request with an Origin header, or None when this answered it.

        Raises `OriginNotAllowed`.
        """
        origin: str = environ["HTTP_ORIGIN"]
        if not self._all and origin.lower() not in self._allowed:
            if origin.lower() == f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}".lower():
                return respond
            raise OriginNotAllowed(
                f"Pages from '{origin[:LONGEST_TOLD]}' may not call this server, "
                "unless it is started with --allow-origin and that origin."
            )
        shared = [("Access-Control-Allow-Origin", ALL if self._all else origin)]
        if not self._all:
            shared.append(("Vary", "Origin"))
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            respond(204, [*shared, *PREFLIGHT], b"")
            return None
        shared.append(("Access-Control-Expose-Headers", "Retry-After"))
        in_parts: RespondInParts = environ[IN_PARTS]
        environ[IN_PARTS] = lambda status, headers, parts: in_parts(status, [*headers, *shared], parts)
        return lambda status, headers, body: respond(status, [*headers, *shared], body)


MOST_CLIENTS = 10_000
"""Clients remembered; of more, those that were heard of first are forgotten, and begin anew."""
ROUNDING = 1e-6


class RateLimit:
    """So many requests a second for each client, and as many at once after a second without any (a token bucket).

    Of each client it keeps when its requests would be used up that came so far, had they come evenly.
    """

    def __init__(self, per_second: int, clock: Callable[[], float] = monotonic) -> None:
        self._per_second = per_second
        self._interval = 1 / per_second
        self._ahead = 1 - self._interval + ROUNDING
        """How many seconds a client may be ahead of time and make one more request."""
        self._clock = clock
        self._lock = threading.Lock()
        self._used_up: dict[str, float] = {}

    def take(self, address: str) -> None:
        """Count a request from an address; raises `RateLimited` where it is one too many, and does not count then."""
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
    """Who counts as one: an IPv4 address, or the network of an IPv6 address, of which a client has 2^64."""
    if ":" not in address:
        return address
    parsed = IPv6Address(address)
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
