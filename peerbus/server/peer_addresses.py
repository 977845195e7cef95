"""The addresses that peers may register, and push targets may have."""

from collections.abc import Iterable
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from peerbus.errors import AddressNotAllowed, BadRequest, StartError
from peerbus.http.middleware import is_loopback
from peerbus.http.types import Request
from peerbus.http.upstream.pool import host_of
from peerbus.wire.protocol import RegisterRequest, SubscribeRequest

Network = IPv4Network | IPv6Network
Ip = IPv4Address | IPv6Address


class PeerAddresses:
    """Decides which addresses a caller may have called: the server sends notices and pushes messages to them.

    A caller may name the address that it calls from, and a caller on this machine any loopback address; options
    allow others. Names are not resolved: a name may mean another address by the time it is called.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """`allowed` are names, addresses, and networks such as 10.0.0.0/8. Raises `StartError` for anything else."""
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for entry in allowed:
            network = _network(entry)
            if network:
                self._networks.append(network)
            elif "/" in entry or ":" in entry or not entry.strip():
                raise StartError(
                    f"--allow-address {entry!r} is no host and no network: name one such as node7.example, 10.0.0.7 or "
                    "10.0.0.0/8."
                )
            else:
                self._names.add(entry.lower())

    def admit(self, request: Request) -> None:
        """Check the address of a registration or a subscription, once its fields are known."""
        request.checks.append(partial(self._check, request.client))

    def _check(self, caller: str, request: RegisterRequest | SubscribeRequest) -> None:
        """Raise `AddressNotAllowed` for an address that the caller may not have called."""
        name = "address" if isinstance(request, RegisterRequest) else "push_to"
        address = getattr(request, name)
        if not isinstance(address, str):
            return
        try:
            host = host_of(address)
        except ValueError:
            raise BadRequest(f"Expected a URL with a host, got '{address}' - at $.{name}") from None
        if not self._allows(host, caller):
            raise AddressNotAllowed(
                f"A peer that calls from {caller} cannot be called at '{host}', the host of its {name}. "
                "Name an address on the host that calls (--advertise of a peer node), or start the "
                f"indexing server with --allow-address {host}."
            )

    def _allows(self, host: str, caller: str) -> bool:
        ip = _ip(host)
        if ip is None:
            return host in self._names or (host == "localhost" and is_loopback(caller))
        if any(ip in network for network in self._networks):
            return True
        if ip.is_link_local:
            return False
        return ip == _ip(caller) or (ip.is_loopback and is_loopback(caller))


def _network(entry: str) -> Network | None:
    try:
        return ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _ip(host: str) -> Ip | None:
    """The IP address of a host in its shortest form; None for a name."""
    try:
        ip = ip_address(host)
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
