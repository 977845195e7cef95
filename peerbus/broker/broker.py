"""The broker: peers, topics and message queues behind one lock."""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Lock
from uuid import uuid4

from peerbus.broker.limits import Limits
from peerbus.broker.log import size_of
from peerbus.broker.message_queue import MessageQueue
from peerbus.broker.peers import Peer, Peers
from peerbus.broker.results import (
    Deleted,
    Published,
    Pulled,
    Registered,
    Subscribed,
    Subscribers,
)
from peerbus.broker.topic import From, Overflow, Topic
from peerbus.broker.topics import Topics
from peerbus.errors import BadRequest, TooManySubscriptions, TooManyWaiting
from peerbus.views import PeerView, Stats, TopicView


class Unset:
    """The type of `UNSET`: an option the caller did not name, where None has a meaning of its own."""


UNSET = Unset()


class Broker:
    """Every public method is one atomic step: it takes the lock once, and what it returns is the caller's own.

    Only `pull` and `expire_leases` block, and only when told to wait. Message values are opaque bytes.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_topic_deleted: Callable[[str, Mapping[str, str]], None] | None = None,
    ) -> None:
        """Begin empty, with a new epoch.

        `clock` gives the time in seconds for leases and windows. `on_topic_deleted` is told a deleted topic
        and the addresses of its subscribers by peer id, outside the lock; it must not block.
        """
        self._on_topic_deleted = on_topic_deleted
        self._limits = limits or Limits()
        self._clock = clock
        self._lock = Lock()
        self._lease_watched = Condition(self._lock)
        self._peers = Peers(self._limits.max_peers)
        self._topics = Topics(self._limits)
        self._epoch = uuid4().hex
        self._began = clock()
        self._closing = False
        self._waiting = self._subscriptions = self._published = self._pulled = self._missed = self._expired = 0

    # Peers

    def register_peer(
        self,
        peer_id: str,
        address: str | Unset | None = UNSET,
        lease_seconds: float | Unset | None = UNSET,
    ) -> Registered:
        """Register a peer or renew its lease; keeps the address and the lease of a known peer where not named.

        Raises `TooManyPeers`.
        """
        with self._lock:
            peer = self._peers.find(peer_id)
            created = peer is None
            if peer is None:
                peer = self._peers.add(peer_id)
            if not isinstance(address, Unset):
                peer.address = address
            if not isinstance(lease_seconds, Unset):
                peer.lease_seconds = lease_seconds
            peer.renew(self._clock())
            self._peers.watch(peer)
            self._lease_watched.notify()
            return Registered(created, self._epoch)

    def unregister_peer(self, peer_id: str) -> None:
        """Remove a peer with its subscriptions; its waiting pulls end. Raises `PeerNotFound`."""
        with self._lock:
            self._remove_peer(self._peer(peer_id))

    def expire_leases(self, wait: float = 0.0) -> list[str]:
        """Remove the peers whose lease has run out and return their ids.

        Waits up to `wait` seconds for one to run out, less when leases change or the broker closes.
        """
        with self._lock:
            due_in = self._peers.next_expiry() - self._clock()
            if due_in > 0 and wait > 0 and not self._closing:
                self._lease_watched.wait(min(wait, due_in))
            expired = self._peers.take_expired(self._clock())
            for peer in expired:
                self._remove_peer(peer)
            self._expired += len(expired)
            return [peer.peer_id for peer in expired]

    # Topics

    def create_topic(self, topic: str, max_messages: int | None = None, overflow: Overflow | None = None) -> bool:
        """Create a topic and say whether it is new; an existing one is left as it is.

        Raises `TopicExists` when it exists with other options than the ones named, `TooManyTopics`, and
        `BadRequest` for an option beyond the server's own limit.
        """
        with self._lock:
            return self._topics.create(topic, max_messages, overflow)

    def delete_topic(self, topic: str) -> Deleted:
        """Delete a topic with its messages and subscriptions; pulls waiting for it end at once.

        Raises `TopicNotFound`.
        """
        with self._lock:
            deleted = self._topics.get(topic)
            result = Deleted(self._subscribers(deleted).addresses, deleted.unread)
            for peer_id in deleted.queues:
                self._peers[peer_id].topic_deleted(topic)
            self._subscriptions -= len(deleted.queues)
            self._topics.remove(deleted)
            deleted.wake()
        if self._on_topic_deleted:
            self._on_topic_deleted(topic, result.addresses)
        return result

    # Messages

    def publish(
        self, topic: str, values: Sequence[bytes], peer_id: str | None = None, message_id: str | None = None
    ) -> Published:
        """Append all of `values` to a topic, or none, and wake the pulls waiting for them.

        A `message_id` that the topic remembers publishes nothing and answers with the offset it had.
        Raises `TopicNotFound`, `PeerNotFound`, `TopicFull`, `TooLarge` and `MemoryFull`.
        """
        size = size_of(values)
        with self._lock:
            log = self._topics.get(topic)
            if peer_id is not None:
                self._peer(peer_id)
            if message_id is not None:
                seen = log.message_ids.find(message_id, self._clock())
                if seen is not None:
                    return Published(seen, len(values), duplicate=True)
            offset = log.append(values, size)
            if message_id is not None:
                log.message_ids.add(message_id, offset, self._clock())
            self._published += len(values)
            return Published(offset, len(values), duplicate=False)

    def subscribe(self, peer_id: str, topic: str, start: From | None = None) -> Subscribed:
        """Give a peer a message queue on a topic, beginning at `start`: by default with the next message.

        A subscription that exists keeps its position, unless `start` is named, which moves it there. An
        offset that is freed already counts as missed; one not yet given means the next message.
        Raises `PeerNotFound`, `TopicNotFound` and `TooManySubscriptions`.
        """
        with self._lock:
            peer = self._peer(peer_id)
            log = self._topics.get(topic)
            queue = peer.queues.get(topic)
            created = queue is None
            if queue is None:
                if self._subscriptions >= self._limits.max_subscriptions:
                    raise TooManySubscriptions(
                        f"{self._subscriptions} subscriptions exist, which is as many as the server takes."
                    )
                queue = MessageQueue(log, log.position("latest" if start is None else start))
                log.queues[peer_id] = peer.queues[topic] = queue
                peer.deleted_topics.pop(topic, None)
                self._subscriptions += 1
            elif start is not None:
                queue.seek(log.position(start))
                log.wake()
            return Subscribed(created, queue.cursor)

    def unsubscribe(self, peer_id: str, topic: str) -> int:
        """End a subscription and return how many messages its queue had left; its waiting pulls end.

        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            remaining = self._subscription(peer_id, topic).remaining
            self._end_subscription(self._peers[peer_id], topic)
            return remaining

    def pull(self, peer_id: str, topic: str, max_messages: int = 1000, wait: float = 0.0) -> Pulled:
        """Take up to `max_messages` from the peer's message queue, waiting up to `wait` seconds for the first.

        Waiting lets go of the lock; taking is one step with finding them. The peer's lease stands while it
        waits. Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed`, `TopicDeleted` (also while waiting),
        `TooManyWaiting`, and `BadRequest` when `wait` is over the limit.
        """
        if wait > self._limits.max_wait:
            raise BadRequest(f"Expected seconds <= {self._limits.max_wait:g} - at $.wait")
        with self._lock:
            queue = self._subscription(peer_id, topic)
            if wait and not queue.ready:
                queue = self._wait_until_ready(peer_id, topic, wait)
            batch = queue.pull(min(max_messages, self._limits.max_pull), self._limits.max_pull_bytes)
            self._pulled += len(batch.values)
            self._missed += batch.missed
            return Pulled(*batch, queue.remaining, queue.earlier, self._closing)

    # Views

    def query_peers(self, topic: str) -> Subscribers:
        """Who is subscribed to a topic; raises `TopicNotFound`."""
        with self._lock:
            return self._subscribers(self._topics.get(topic))

    def list_topics(self, limit: int, after: str = "") -> list[TopicView]:
        """The first `limit` topics by name that come after `after`."""
        with self._lock:
            return [listed.view() for listed in self._topics.page(limit, after)]

    def list_peers(self, limit: int, after: str = "") -> list[PeerView]:
        """The first `limit` peers by id that come after `after`."""
        with self._lock:
            now = self._clock()
            return [peer.view(now) for peer in self._peers.page(limit, after)]

    def stats(self) -> Stats:
        """Totals and what is held now."""
        with self._lock:
            return Stats(
                epoch=self._epoch,
                uptime_seconds=self._clock() - self._began,
                peers=len(self._peers),
                topics=len(self._topics),
                subscriptions=self._subscriptions,
                memory_bytes=self._topics.memory.used,
                waiting_pulls=self._waiting,
                published=self._published,
                pulled=self._pulled,
                missed=self._missed,
                expired_peers=self._expired,
            )

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def close(self) -> None:
        """End all waiting, now and from now on: a pull answers with what there is. All else goes on."""
        with self._lock:
            self._closing = True
            self._lease_watched.notify_all()
            self._topics.wake_all()

    # Steps of the calls above; the lock is held.

    def _peer(self, peer_id: str) -> Peer:
        return self._peers.renewed(peer_id, self._clock())

    def _subscription(self, peer_id: str, topic: str) -> MessageQueue:
        peer = self._peer(peer_id)
        if not peer.knows(topic):
            self._topics.get(topic)
        return peer.queue(topic)

    def _subscribers(self, topic: Topic) -> Subscribers:
        addresses = {peer_id: self._peers[peer_id].address for peer_id in topic.queues}
        return Subscribers(list(addresses), {peer_id: url for peer_id, url in addresses.items() if url})

    def _remove_peer(self, peer: Peer) -> None:
        for topic in list(peer.queues):
            self._end_subscription(peer, topic)
        self._peers.remove(peer)

    def _end_subscription(self, peer: Peer, topic: str) -> None:
        log = self._topics.get(topic)
        del log.queues[peer.peer_id]
        peer.queues.pop(topic).close()
        self._subscriptions -= 1
        log.wake()

    def _wait_until_ready(self, peer_id: str, topic: str, wait: float) -> MessageQueue:
        if self._waiting >= self._limits.max_waiting:
            raise TooManyWaiting(
                f"{self._waiting} pulls are waiting, which is as many as the server takes. Pull without `wait`."
            )
        deadline = self._clock() + wait
        self._waiting += 1
        try:
            queue = self._subscription(peer_id, topic)
            while not queue.ready and not self._closing and (left := deadline - self._clock()) > 0:
                peer = self._peers[peer_id]
                peer.waiting += 1
                self._topics.get(topic).wait(self._lock, left)
                peer.waiting -= 1
                queue = self._subscription(peer_id, topic)
            return queue
        finally:
            self._waiting -= 1
