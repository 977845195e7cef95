"""The registered peers and their leases."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from peerbus.broker.names import page
from peerbus.errors import NotSubscribed, PeerNotFound, TooManyPeers, TopicDeleted
from peerbus.views import PeerView

if TYPE_CHECKING:
    from peerbus.broker.message_queue import MessageQueue

NEVER = float("inf")
STALE_ENTRIES = 64
"""Watched times of leases that no longer count, beyond one a peer, before they are swept out."""

DELETED_TOPICS_REMEMBERED = 1000
"""Deleted topics a peer is still to be told of; beyond it the oldest is forgotten."""


class Peer:
    """A registered participant: its address, its lease and its subscriptions."""

    __slots__ = (
        "address",
        "deleted_topics",
        "expires_at",
        "lease_seconds",
        "peer_id",
        "queues",
        "waiting",
        "watched_at",
    )

    def __init__(self, peer_id: str) -> None:
        self.peer_id = peer_id
        self.address: str | None = None
        self.lease_seconds: float | None = None
        self.expires_at = NEVER
        self.watched_at = NEVER
        self.waiting = 0
        """Pulls of this peer that wait; while there are any, it is alive."""
        self.queues: dict[str, MessageQueue] = {}
        self.deleted_topics: dict[str, None] = {}

    def renew(self, now: float) -> None:
        """Begin the lease again at `now`."""
        self.expires_at = NEVER if self.lease_seconds is None else now + self.lease_seconds

    def view(self, now: float) -> PeerView:
        """The peer as it stands."""
        expires_in = None if self.expires_at == NEVER else max(0.0, self.expires_at - now)
        return PeerView(self.peer_id, self.address, self.lease_seconds, expires_in, list(self.queues))

    def topic_deleted(self, topic: str) -> None:
        """Drop the subscription to a deleted topic, to be told of it at the next pull."""
        del self.queues[topic]
        self.deleted_topics[topic] = None
        if len(self.deleted_topics) > DELETED_TOPICS_REMEMBERED:
            del self.deleted_topics[next(iter(self.deleted_topics))]

    def knows(self, topic: str) -> bool:
        """Whether the peer is subscribed to `topic`, or was until it was deleted and is still to be told."""
        return topic in self.queues or topic in self.deleted_topics

    def queue(self, topic: str) -> MessageQueue:
        """The message queue of the subscription to `topic`; raises `NotSubscribed`, `TopicDeleted`."""
        queue = self.queues.get(topic)
        if queue is not None:
            return queue
        if topic in self.deleted_topics:
            del self.deleted_topics[topic]
            raise TopicDeleted(
                f"Topic '{topic}' was deleted, with the subscription of peer '{self.peer_id}' to it. "
                "If it is created again, subscribe again."
            )
        raise NotSubscribed(f"Peer '{self.peer_id}' is not subscribed to topic '{topic}'. POST /subscribe first.")


class Peers:
    """All registered peers.

    Renewing a lease only writes a time; the order in which leases run out is corrected when an old time
    comes up, so a renewal is constant time and a peer costs one heap operation a lease period.
    """

    __slots__ = ("_due", "_limit", "_peers")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._peers: dict[str, Peer] = {}
        self._due: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._peers)

    def __getitem__(self, peer_id: str) -> Peer:
        return self._peers[peer_id]

    def find(self, peer_id: str) -> Peer | None:
        """The peer, if it is registered."""
        return self._peers.get(peer_id)

    def renewed(self, peer_id: str, now: float) -> Peer:
        """The peer, its lease renewed by this sign of life; raises `PeerNotFound`."""
        peer = self._peers.get(peer_id)
        if peer is None:
            raise PeerNotFound(f"Peer '{peer_id}' is not registered. POST /register_peer_node first.")
        peer.renew(now)
        return peer

    def add(self, peer_id: str) -> Peer:
        """Register a new peer; raises `TooManyPeers`."""
        if len(self._peers) >= self._limit:
            raise TooManyPeers(f"{self._limit} peers are registered, which is as many as the server takes.")
        peer = self._peers[peer_id] = Peer(peer_id)
        return peer

    def remove(self, peer: Peer) -> None:
        """Forget a peer."""
        del self._peers[peer.peer_id]

    def watch(self, peer: Peer) -> None:
        """Take the end of a peer's lease into account, where it comes sooner than the one watched for."""
        if peer.expires_at < peer.watched_at:
            peer.watched_at = peer.expires_at
            heappush(self._due, (peer.expires_at, peer.peer_id))
            if len(self._due) > 2 * len(self._peers) + STALE_ENTRIES:
                self._rebuild()

    def next_expiry(self) -> float:
        """A time before which no lease runs out."""
        return self._due[0][0] if self._due else NEVER

    def take_expired(self, now: float) -> list[Peer]:
        """The peers whose lease has run out by `now`, still registered."""
        expired = []
        while self.next_expiry() <= now:
            due, peer_id = heappop(self._due)
            peer = self._peers.get(peer_id)
            if peer is None or peer.watched_at != due:
                continue
            peer.watched_at = NEVER
            if peer.waiting:
                peer.renew(now)
            if peer.expires_at > now:
                self.watch(peer)
            else:
                expired.append(peer)
        return expired

    def page(self, limit: int, after: str) -> list[Peer]:
        """The first `limit` peers by id that come after `after`."""
        return [self._peers[peer_id] for peer_id in page(self._peers, limit, after)]

    def _rebuild(self) -> None:
        for peer in self._peers.values():
            peer.watched_at = peer.expires_at
        self._due = [(peer.expires_at, peer.peer_id) for peer in self._peers.values() if peer.expires_at != NEVER]
        heapify(self._due)
