"""The names that a server is called by."""

import re
from collections.abc import Iterable
from ipaddress import ip_address

from peerbus.errors import HostNotAllowed

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
    """Whether a host name or address in lower case means this very machine wherever it is looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
