"""What can be looked at of the broker."""

from collections.abc import Iterable
from threading import Lock

from msgspec import structs

from peerbus.broker.queue_listing import Order, listing
from peerbus.broker.results import Peeked, Subscribers
from peerbus.broker.state import State
from peerbus.views import PeerView, Stats, SubscriptionView, TopicView


class Overview:
    """The broker for who only looks: nothing is moved and no lease renewed. At most, what is too old is dropped before.

    Every public method is one atomic step: it takes the lock once, and what it returns is the caller's own.
    """

    def __init__(self, state: State, lock: Lock) -> None:
        """`lock` is the one that guards `state`."""
        self._state = state
        self._lock = lock

    @property
    def closing(self) -> bool:
        """Whether the broker was closed: all waiting is ended."""
        return self._state.closing

    def token_hash(self, peer_id: str) -> bytes | None:
        """What a peer's token hashes to; None where there is no such peer, or it has none."""
        with self._lock:
            peer = self._state.peers.find(peer_id)
            return peer.token_hash if peer else None

    def topic_creator(self, topic: str) -> str | None:
        """The peer that created a topic, if any did; raises `TopicNotFound`."""
        with self._lock:
            return self._state.topic(topic).creator

    def query_peers(self, topic: str) -> Subscribers:
        """Who is subscribed to a topic; raises `TopicNotFound`."""
        with self._lock:
            return self._state.subscribers(self._state.topic(topic))

    def list_topics(self, limit: int, after: str = "") -> list[TopicView]:
        """The first `limit` topics by name that come after `after`."""
        with self._lock:
            return self._state.topics.view(limit, after)

    def list_peers(self, limit: int, after: str = "") -> list[PeerView]:
        """The first `limit` peers by id that come after `after`."""
        with self._lock:
            return self._state.peers.view(limit, after, self._state.clock())

    def topic_names(self) -> list[str]:
        """The names of all topics, in no order."""
        with self._lock:
            return list(self._state.topics)

    def backlogs(self, topics: Iterable[str]) -> list[int]:
        """For each of `topics`, how many messages its slowest subscriber has yet to pull or to acknowledge.

        A topic that is gone has none.
        """
        with self._lock:
            return [topic.unread if (topic := self._state.topics.find(name)) else 0 for name in topics]

    def list_subscriptions(
        self,
        limit: int,
        after: str = "",
        *,
        topic: str | None = None,
        peer_id: str | None = None,
        order: Order = "name",
    ) -> list[SubscriptionView]:
        """Message queues of a topic, of a peer, or the one of both, as they stand.

        The first `limit` that come after `after`: those of a peer by topic, others by the name of the queue, or in
        either case those with the most messages since what they acknowledged. Raises `TopicNotFound`, `PeerNotFound`.
        """
        with self._lock:
            state = self._state
            queues = None if topic is None else dict.fromkeys(state.topics.get(topic).subscribers.values())
            if peer_id is None:
                return listing(queues or (), lambda queue: queue.name, limit, after, order)
            of_peer = state.peers.get(peer_id).queues.values()
            both = of_peer if queues is None else [queue for queue in of_peer if queue in queues]
            return listing(both, lambda queue: queue.topic.name, limit, after, order)

    def peek(self, topic: str, limit: int, max_bytes: int) -> Peeked:
        """The last messages of a topic that are retained: up to `limit` of up to `max_bytes`, but at least one.

        No more bytes than one pull hands over. Raises `TopicNotFound`.
        """
        with self._lock:
            found = self._state.topic(topic)
            first, values = found.latest(limit, min(max_bytes, self._state.limits.max_pull_bytes))
            return Peeked(first, values, found.start)

    def stats(self) -> Stats:
        """Totals and what is held now."""
        with self._lock:
            state = self._state
            return Stats(
                epoch=state.epoch,
                uptime_seconds=state.clock() - state.began,
                peers=len(state.peers),
                topics=len(state.topics),
                subscriptions=len(state.subscriptions),
                memory_bytes=state.memory.used,
                freed_bytes=state.memory.freed,
                waiting_pulls=len(state.waiting),
                stored_bytes=state.journal.stored_bytes,
                dead_lettered=state.upkeep.dead_lettered,
                max_peers=state.limits.max_peers,
                max_topics=state.limits.max_topics,
                max_subscriptions=state.limits.max_subscriptions,
                max_bytes=state.limits.max_bytes,
                **structs.asdict(state.totals),
            )
