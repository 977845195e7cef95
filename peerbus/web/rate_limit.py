"""How many requests a client may make."""

import threading
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address
from time import monotonic

from peerbus.errors import RateLimited

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
