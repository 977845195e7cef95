"""The registered peers and their leases."""

from collections.abc import Callable, Iterable

from msgspec import UNSET, UnsetType

from peerbus.broker.change_listener import ChangeListener
from peerbus.broker.queue import MessageQueue
from peerbus.broker.records import PeerRecord
from peerbus.broker.structures import NEVER, Schedule, SortedKeys
from peerbus.errors import Forbidden, PeerNotFound, TooManyPeers
from peerbus.standstill import Standstill
from peerbus.wire.views import PeerView

WAITING_PEER_SECONDS = 1.0
"""The least time by which the lease of a peer is renewed because a pull of it waits."""
REMEMBERED_SECONDS = 3600.0
"""How long an away peer without queues is remembered, to answer 410 for topics that were deleted meanwhile."""
DELETED_TOPICS_REMEMBERED = 1000
"""Deleted topics of a peer whose next pull answers 410; beyond it the oldest is forgotten."""


class Peer:
    """A registered participant: its address, its lease and its subscriptions.

    A peer whose lease ran out, or that left, is away as long as it has queues of its own. Any call of it, and a
    registration, bring it back.
    """

    __slots__ = (
        "_changes",
        "address",
        "away_since",
        "deleted_topics",
        "lease_seconds",
        "leaving",
        "peer_id",
        "queues",
        "token_hash",
        "waiting",
    )

    def __init__(self, peer_id: str, changes: ChangeListener) -> None:
        self._changes = changes
        self.peer_id = peer_id
        self.address: str | None = None
        self.lease_seconds: float | None = None
        self.token_hash: bytes | None = None
        """Of the token that speaks for this peer; None for a peer without one."""
        self.waiting = 0
        """Pulls of this peer that wait; while there are any, it is alive."""
        self.away_since: float | None = None
        """When it went away; None while it is there."""
        self.leaving: dict[str, MessageQueue] = {}
        """By topic: the queues of a peer that went away a moment ago, as far as it has not left them yet."""
        self.queues: dict[str, MessageQueue] = {}
        """By topic. Those of deleted topics stay until `Subscriptions` has moved them to `deleted_topics`."""
        self.deleted_topics: dict[str, None] = {}
        """The next pull of each answers 410."""

    def update(
        self, address: str | UnsetType | None, lease_seconds: float | UnsetType | None, token_hash: bytes | None
    ) -> bool:
        """Change the fields named, and keep a first token; returns whether it is new.

        Raises `Forbidden` for a token that is not the peer's. A peer that is away gets the new one.
        """
        is_away = self.away_since is not None
        if self.token_hash and token_hash not in (None, self.token_hash) and not is_away:
            raise Forbidden(
                f"Peer '{self.peer_id}' is registered with another token. Register it with that one, "
                "or when it is unregistered or its lease has run out."
            )
        before = self.address, self.lease_seconds, self.token_hash
        token_is_new = token_hash not in (None, self.token_hash)
        if address is not UNSET:
            self.address = address
        if lease_seconds is not UNSET:
            self.lease_seconds = lease_seconds
        if token_is_new:
            self.token_hash = token_hash
        if (self.address, self.lease_seconds, self.token_hash) != before:
            self._changes.peer_changed(self)
        return token_is_new

    def forget_queue(self, queue: MessageQueue) -> None:
        """Remove a queue that it is not a member of any more."""
        topic = queue.topic.name
        for queues in (self.queues, self.leaving):
            if queues.get(topic) is queue:
                del queues[topic]

    def topic_deleted(self, topic: str) -> None:
        """Let the next pull of `topic` answer 410."""
        self.deleted_topics[topic] = None
        if len(self.deleted_topics) > DELETED_TOPICS_REMEMBERED:
            del self.deleted_topics[next(iter(self.deleted_topics))]
        self._changes.peer_changed(self)

    def forget_deleted(self, topic: str) -> bool:
        """Remove `topic` from the deleted topics; returns whether it was among them."""
        if topic not in self.deleted_topics:
            return False
        del self.deleted_topics[topic]
        self._changes.peer_changed(self)
        return True

    def record(self, wall: float) -> PeerRecord:
        """The peer as it is kept on disk; the wall clock is `wall` seconds ahead of the broker's."""
        away_since = None if self.away_since is None else self.away_since + wall
        topics = list(self.deleted_topics)
        return PeerRecord(self.peer_id, self.address, self.lease_seconds, topics, self.token_hash, away_since)


class Peers:
    """All peers, those that are away among them. Renewing a lease is constant time."""

    __slots__ = ("_away", "_changes", "_leases", "_limit", "_names", "_on_back", "_peers", "_standstill")

    def __init__(
        self, limit: int, changes: ChangeListener, standstill: Standstill, on_back: Callable[[Peer], None]
    ) -> None:
        """`on_back` is called with each peer that was away and is back, with its queues."""
        self._on_back = on_back
        self._standstill = standstill
        self._limit = limit
        self._changes = changes
        self._peers: dict[str, Peer] = {}
        self._names: SortedKeys[str] = SortedKeys()
        """Of the peers that are there."""
        self._away: set[str] = set()
        """The ids of the others."""
        self._leases: Schedule[str] = Schedule()

    def __len__(self) -> int:
        """How many peers are there."""
        return len(self._names)

    def __getitem__(self, peer_id: str) -> Peer:
        return self._peers[peer_id]

    def find(self, peer_id: str) -> Peer | None:
        """The peer, if it is known."""
        return self._peers.get(peer_id)

    def get(self, peer_id: str) -> Peer:
        """The peer, which may be away; raises `PeerNotFound`."""
        peer = self._peers.get(peer_id)
        if peer is None:
            raise _not_found(peer_id)
        return peer

    def check_same(self, peer: Peer, token_hash: bytes | None) -> None:
        """Raise `PeerNotFound` when `peer` is gone or away, or its id was registered with another token since.

        It had the token of `token_hash`, if any.
        """
        known = self.get(peer.peer_id)
        is_same = known.token_hash == peer.token_hash and token_hash in (None, known.token_hash)
        if known.away_since is not None or not is_same:
            raise _not_found(peer.peer_id)

    def present(self, peer_ids: Iterable[str]) -> list[str]:
        """Those of the known peers that are there, 1 ms for 50,000."""
        return [peer_id for peer_id in peer_ids if peer_id not in self._away]

    def register(self, peer_id: str) -> Peer:
        """Register a new peer; raises `TooManyPeers` and one of `UNKEPT`."""
        if len(self._peers) >= self._limit:
            raise TooManyPeers(
                f"{self._limit} peers are registered, or away with queues that stand, which is as many as the server "
                "takes."
            )
        self._changes.check_room(0)
        peer = self.add(peer_id)
        self._changes.peer_changed(peer)
        return peer

    def add(self, peer_id: str) -> Peer:
        """A new peer."""
        peer = self._peers[peer_id] = Peer(peer_id, self._changes)
        self._names.add(peer_id)
        return peer

    def remove(self, peer: Peer) -> None:
        """Forget a peer."""
        del self._peers[peer.peer_id]
        if peer.away_since is None:
            self._names.discard(peer.peer_id)
        self._away.discard(peer.peer_id)
        self._leases.discard(peer.peer_id)
        self._changes.peer_removed(peer)

    def go_away(self, peer: Peer, now: float) -> None:
        """Let a peer be away from now on; it has yet to leave its queues."""
        peer.away_since = now
        peer.leaving, peer.queues = peer.queues, {}
        self._names.discard(peer.peer_id)
        self._away.add(peer.peer_id)
        self._leases.discard(peer.peer_id)
        self._changes.peer_changed(peer)

    def remember(self, peer: Peer, now: float) -> None:
        """Let an away peer without queues be forgotten later."""
        self._leases.set(peer.peer_id, now + REMEMBERED_SECONDS)

    def renew(self, peer: Peer, now: float) -> None:
        """Let the peer's lease begin at `now`, or end when it has none any more; an away peer is back."""
        if peer.away_since is not None:
            peer.away_since = None
            peer.queues |= peer.leaving
            peer.leaving = {}
            self._names.add(peer.peer_id)
            self._away.discard(peer.peer_id)
            self._changes.peer_changed(peer)
            self._on_back(peer)
        if peer.lease_seconds is None:
            self._leases.discard(peer.peer_id)
        else:
            self._leases.set(peer.peer_id, now + peer.lease_seconds)

    def addresses(self, peer_ids: Iterable[str]) -> dict[str, str]:
        """The addresses of those of the peers that are there and have one."""
        found = [peer for peer_id in peer_ids if (peer := self._peers.get(peer_id)) and peer.away_since is None]
        return {peer.peer_id: peer.address for peer in found if peer.address is not None}

    def next_expiry(self) -> float:
        """When the next lease runs out."""
        return self._leases.next()

    def take_expired(self, now: float, limit: int) -> list[Peer]:
        """Up to `limit` peers whose lease has run out by `now`, and away ones that were remembered long enough.

        A peer whose pull waits is alive. After a standstill, each has its whole time again.
        """
        expired = []
        self._standstill.check(now)
        for peer_id in self._leases.take(now, limit):
            peer = self._peers[peer_id]
            if peer.waiting:
                self._leases.set(peer_id, now + max(peer.lease_seconds or 0.0, WAITING_PEER_SECONDS))
            elif (end := self._end_after_standstill(peer)) > now:
                self._leases.set(peer_id, end)
            else:
                expired.append(peer)
        return expired

    def view(self, limit: int, after: str, now: float) -> list[PeerView]:
        """The first `limit` peers by id that come after `after`, as they are now."""
        return [self._view(self._peers[peer_id], now) for peer_id in self._names.page(limit, after)]

    def _end_after_standstill(self, peer: Peer) -> float:
        """When the time of a peer ends at the earliest, if it begins at the end of the last standstill."""
        seconds = peer.lease_seconds if peer.away_since is None else REMEMBERED_SECONDS
        return self._standstill.ended + (seconds or 0.0)

    def _view(self, peer: Peer, now: float) -> PeerView:
        expires_at = self._leases.time(peer.peer_id)
        expires_in = None if expires_at == NEVER else max(0.0, max(expires_at, self._end_after_standstill(peer)) - now)
        topics = [topic for topic, queue in peer.queues.items() if not queue.topic.deleted]
        return PeerView(peer.peer_id, peer.address, peer.lease_seconds, expires_in, topics)


def _not_found(peer_id: str) -> PeerNotFound:
    return PeerNotFound(f"Peer '{peer_id}' is not registered. POST /register_peer_node first.")
