"""The registered peers and their leases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from peerbus.broker.change_listener import ChangeListener
from peerbus.broker.structures import NEVER, Schedule, SortedNames
from peerbus.errors import Forbidden, NotSubscribed, PeerNotFound, TooManyPeers, TopicDeleted
from peerbus.wire.views import PeerView

if TYPE_CHECKING:
    from peerbus.broker.queue import MessageQueue

LOOK_AGAIN_SECONDS = 1.0
"""How soon a peer that waits in a pull is looked at again, at the earliest."""
DELETED_TOPICS_REMEMBERED = 1000
"""Deleted topics a peer is still to be told of; beyond it the oldest is forgotten."""


class Peer:
    """A registered participant: its address, its lease and its subscriptions."""

    __slots__ = ("_journal", "address", "deleted_topics", "lease_seconds", "peer_id", "queues", "token_hash", "waiting")

    def __init__(self, peer_id: str, journal: ChangeListener) -> None:
        self._journal = journal
        self.peer_id = peer_id
        self.address: str | None = None
        self.lease_seconds: float | None = None
        self.token_hash: bytes | None = None
        """Of the token that speaks for this peer; None for one that needs none."""
        self.waiting = 0
        """Pulls of this peer that wait; while there are any, it is alive."""
        self.queues: dict[str, MessageQueue] = {}
        self.deleted_topics: dict[str, None] = {}

    def update(
        self, address: str | UnsetType | None, lease_seconds: float | UnsetType | None, token_hash: bytes | None
    ) -> bool:
        """Change what is named, and keep a first token; says whether it is one. Raises `Forbidden` for another."""
        if self.token_hash and token_hash not in (None, self.token_hash):
            raise Forbidden(
                f"Peer '{self.peer_id}' is registered with another token. Register it with that one, "
                "or when it is unregistered or its lease has run out."
            )
        before = self.address, self.lease_seconds, self.token_hash
        token_is_new = token_hash is not None and self.token_hash is None
        if address is not UNSET:
            self.address = address
        if lease_seconds is not UNSET:
            self.lease_seconds = lease_seconds
        if token_is_new:
            self.token_hash = token_hash
        if (self.address, self.lease_seconds, self.token_hash) != before:
            self._journal.peer_changed(self)
        return token_is_new

    def topic_deleted(self, topic: str) -> None:
        """Drop the subscription to a deleted topic, to be told of it at the next pull."""
        del self.queues[topic]
        self.deleted_topics[topic] = None
        if len(self.deleted_topics) > DELETED_TOPICS_REMEMBERED:
            del self.deleted_topics[next(iter(self.deleted_topics))]
        self._journal.peer_changed(self)

    def subscribed_anew(self, topic: str) -> None:
        """Nothing is left to be told of a deleted topic of that name."""
        if self.deleted_topics.pop(topic, self) is None:
            self._journal.peer_changed(self)

    def queue(self, topic: str) -> MessageQueue:
        """The message queue of the subscription to `topic`; raises `NotSubscribed`, `TopicDeleted`."""
        queue = self.queues.get(topic)
        if queue is not None:
            return queue
        if topic in self.deleted_topics:
            self.subscribed_anew(topic)
            raise TopicDeleted(
                f"Topic '{topic}' was deleted, with the subscription of peer '{self.peer_id}' to it. "
                "If it is created again, subscribe again."
            )
        raise NotSubscribed(f"Peer '{self.peer_id}' is not subscribed to topic '{topic}'. POST /subscribe first.")


class Peers:
    """All registered peers. Renewing a lease is constant time."""

    __slots__ = ("_journal", "_leases", "_limit", "_names", "_peers")

    def __init__(self, limit: int, journal: ChangeListener) -> None:
        self._limit = limit
        self._journal = journal
        self._peers: dict[str, Peer] = {}
        self._names = SortedNames()
        self._leases: Schedule[str] = Schedule()

    def __len__(self) -> int:
        return len(self._peers)

    def __getitem__(self, peer_id: str) -> Peer:
        return self._peers[peer_id]

    def find(self, peer_id: str) -> Peer | None:
        """The peer, if it is registered."""
        return self._peers.get(peer_id)

    def get(self, peer_id: str) -> Peer:
        """The peer; raises `PeerNotFound`."""
        peer = self._peers.get(peer_id)
        if peer is None:
            raise _not_found(peer_id)
        return peer

    def check_same(self, peer: Peer) -> None:
        """Raise `PeerNotFound` where `peer` is gone, be it that another token was registered for its id since."""
        now = self._peers.get(peer.peer_id)
        if now is None or now.token_hash != peer.token_hash:
            raise _not_found(peer.peer_id)

    def renewed(self, peer_id: str, now: float) -> Peer:
        """The peer, its lease renewed by this sign of life; raises `PeerNotFound`."""
        peer = self._peers.get(peer_id)
        if peer is None:
            raise _not_found(peer_id)
        if peer.lease_seconds is not None:
            self.renew(peer, now)
        return peer

    def register(self, peer_id: str) -> Peer:
        """Register a new peer; raises `TooManyPeers` and `StorageFull`."""
        if len(self._peers) >= self._limit:
            raise TooManyPeers(f"{self._limit} peers are registered, which is as many as the server takes.")
        self._journal.check_room(0)
        peer = self.add(peer_id)
        self._journal.peer_changed(peer)
        return peer

    def add(self, peer_id: str) -> Peer:
        """A new peer."""
        peer = self._peers[peer_id] = Peer(peer_id, self._journal)
        self._names.add(peer_id)
        return peer

    def remove(self, peer: Peer) -> None:
        """Forget a peer."""
        del self._peers[peer.peer_id]
        self._names.remove(peer.peer_id)
        self._leases.discard(peer.peer_id)
        self._journal.peer_removed(peer)

    def renew(self, peer: Peer, now: float) -> None:
        """Begin the peer's lease anew at `now`; one that it has no more ends."""
        if peer.lease_seconds is None:
            self._leases.discard(peer.peer_id)
        else:
            self._leases.set(peer.peer_id, now + peer.lease_seconds)

    def next_expiry(self) -> float:
        """When the next lease runs out."""
        return self._leases.next()

    def take_expired(self, now: float) -> list[Peer]:
        """The peers whose lease has run out by `now`, still registered; one that waits in a pull is alive."""
        expired = []
        for peer_id in self._leases.take(now):
            peer = self._peers[peer_id]
            if peer.waiting:
                self._leases.set(peer_id, now + max(peer.lease_seconds or 0.0, LOOK_AGAIN_SECONDS))
            else:
                expired.append(peer)
        return expired

    def view(self, limit: int, after: str, now: float) -> list[PeerView]:
        """The first `limit` peers by id that come after `after`, as they stand."""
        return [self._view(self._peers[peer_id], now) for peer_id in self._names.page(limit, after)]

    def _view(self, peer: Peer, now: float) -> PeerView:
        expires_at = self._leases.time(peer.peer_id)
        expires_in = None if expires_at == NEVER else max(0.0, expires_at - now)
        return PeerView(peer.peer_id, peer.address, peer.lease_seconds, expires_in, list(peer.queues))


def _not_found(peer_id: str) -> PeerNotFound:
    return PeerNotFound(f"Peer '{peer_id}' is not registered. POST /register_peer_node first.")
