"""The owner of a shard, as far as a server knows."""

from typing import Protocol

from peerbus.future import Future


class Ownership(Protocol):
    """The view that one server has of the owner of a shard; it may be old. Any thread may use it."""

    shard: int
    url: str
    """The URL of this server, at which the others and this one reach it."""
    secret: str
    """A value that the servers of the cluster share and no caller knows, by which they know each other's calls."""

    @property
    def owner(self) -> str | None:
        """The URL of the owner, None while there is none."""

    def changed(self) -> Future[None]:
        """A future that is done when the owner changes next."""

    def refresh(self) -> Future[None]:
        """Look for the owner again; the future is done when `owner` is up to date."""
