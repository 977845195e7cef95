"""The broker: peers, topics and message queues behind one lock."""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Lock
from typing import Any
from uuid import uuid4

from peerbus.broker.dead_letters import settle
from peerbus.broker.limits import Limits
from peerbus.broker.log import size_of
from peerbus.broker.message_queue import Claim, MessageQueue
from peerbus.broker.peers import Peer, Peers
from peerbus.broker.results import (
    Deleted,
    Published,
    Pulled,
    Registered,
    Settled,
    Subscribed,
    Subscribers,
)
from peerbus.broker.schedule import NEVER, Schedule
from peerbus.broker.subscriptions import Subscriptions
from peerbus.broker.topic import From, Overflow, Topic
from peerbus.broker.topics import Topics
from peerbus.errors import BadRequest, TooManyWaiting
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
        self._peers = Peers(self._limits.max_peers)
        self._topics = Topics(self._limits)
        self._subscriptions = Subscriptions(self._limits)
        self._alarms: Schedule[MessageQueue | Topic] = Schedule()
        """Queues that exhaust messages, and topics whose messages grow too old, though nobody calls."""
        self._alarm_changed = Condition(self._lock)
        self._epoch = uuid4().hex
        self._began = clock()
        self._closing = False
        self._waiting = self._published = self._pulled = self._missed = 0
        self._acknowledged = self._redelivered = self._dead_lettered = self._expired = 0

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
            self._peers.renew(peer, self._clock())
            self._alarm_changed.notify()
            return Registered(created, self._epoch)

    def unregister_peer(self, peer_id: str) -> None:
        """Remove a peer with its subscriptions; its waiting pulls end. Raises `PeerNotFound`."""
        with self._lock:
            self._remove_peer(self._peer(peer_id))

    def tend(self, wait: float = 0.0) -> list[str]:
        """Do what time alone brings about, and return the ids of the peers removed because their lease ran out.

        Exhausted messages are buried and messages that are too old dropped. Waits up to `wait` seconds for
        something to do, less when what is due changes or the broker closes.
        """
        with self._lock:
            due_in = min(self._peers.next_expiry(), self._alarms.next()) - self._clock()
            if due_in > 0 and wait > 0 and not self._closing:
                self._alarm_changed.wait(min(wait, due_in))
            now = self._clock()
            expired = self._peers.take_expired(now)
            for peer in expired:
                self._remove_peer(peer)
            self._expired += len(expired)
            for due in self._alarms.take(now):
                if isinstance(due, Topic):
                    self._refreshed(due)
                else:
                    self._settle(due)
            return [peer.peer_id for peer in expired]

    # Topics

    def create_topic(
        self,
        topic: str,
        max_messages: int | None = None,
        overflow: Overflow | None = None,
        max_age: float | None = None,
    ) -> bool:
        """Create a topic and say whether it is new; an existing one is left as it is.

        Raises `TopicExists` when it exists with other options than the ones named, `TooManyTopics`, and
        `BadRequest` for an option beyond the server's own limit.
        """
        with self._lock:
            return self._topics.create(topic, max_messages, overflow, max_age)

    def delete_topic(self, topic: str) -> Deleted:
        """Delete a topic with its messages and subscriptions; pulls waiting for it end at once.

        Raises `TopicNotFound`.
        """
        with self._lock:
            deleted = self._topic(topic)
            result = Deleted(self._subscribers(deleted).addresses, deleted.unread)
            self._topics.remove(deleted)
            self._alarms.discard(deleted)
            for queue in set(deleted.subscribers.values()):
                self._alarms.discard(queue)
            self._subscriptions.end_all(deleted, [self._peers[peer_id] for peer_id in deleted.subscribers])
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
            log = self._topic(topic)
            if peer_id is not None:
                self._peer(peer_id)
            if message_id is not None:
                seen = log.message_ids.find(message_id, self._clock())
                if seen is not None:
                    return Published(seen, len(values), duplicate=True)
            offset = log.append(values, size, self._clock())
            self._alarm(log, log.next_expiry())
            if message_id is not None:
                log.message_ids.add(message_id, offset, self._clock())
            self._published += len(values)
            return Published(offset, len(values), duplicate=False)

    def subscribe(
        self, peer_id: str, topic: str, start: From | None = None, group: str | None = None, **options: Any
    ) -> Subscribed:
        """Give a peer a message queue on a topic, or its group's, beginning at `start`: by default the next message.

        A queue that exists keeps its position, unless `start` is named, which moves it there, and its
        `QueueOptions`, unless they are named in `options`. An offset that is freed already counts as missed;
        one not yet given means the next message. Raises `PeerNotFound`, `TopicNotFound`,
        `SubscriptionExists`, `TooManySubscriptions`, and `BadRequest` for options that contradict each other.
        """
        if options.get("dead_letter_topic") == topic:
            raise BadRequest("Expected another topic than the subscription's own - at $.dead_letter_topic")
        with self._lock:
            peer = self._peer(peer_id)
            created = self._subscriptions.begin(peer, self._topic(topic), start, group, options)
            queue = peer.queues[topic]
            return Subscribed(created, queue.cursor, len(queue.members))

    def unsubscribe(self, peer_id: str, topic: str) -> int:
        """End a subscription and return how many messages nobody will have acknowledged; its waiting pulls end.

        In a group, what the peer has not acknowledged goes back to the others at once.
        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            queue = self._subscription(peer_id, topic)
            left = queue.unread if len(queue.members) == 1 else 0
            self._end_subscription(self._peers[peer_id], topic)
            return left

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
            offsets, values, attempts, missed = queue.pull(peer_id, max_messages, self._clock())
            self._watch(queue)
            self._pulled += len(values)
            self._redelivered += sum(attempt > 1 for attempt in attempts)
            self._missed += missed
            return Pulled(
                offsets,
                values,
                attempts if queue.options.explicit else None,
                queue.cursor,
                queue.position,
                missed,
                queue.remaining,
                queue.unacknowledged,
                queue.earlier,
                self._closing,
            )

    def acknowledge(self, peer_id: str, topic: str, claims: Sequence[Claim] | int) -> Settled:
        """Settle for good the messages claimed, or all in the peer's hands up to the offset given.

        A claim on a message that was settled, or handed over again since, is stale and changes nothing.
        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            queue = self._subscription(peer_id, topic)
            count, stale = queue.acknowledge(peer_id, _claims(queue, peer_id, claims))
            self._acknowledged += count
            return Settled(count, stale, queue.options.explicit)

    def reject(self, peer_id: str, topic: str, claims: Sequence[Claim] | int, delay: float = 0.0) -> Settled:
        """Let the messages claimed be handed over again in `delay` seconds, if not acknowledged until then.

        Claims and errors are those of `acknowledge`.
        """
        with self._lock:
            queue = self._subscription(peer_id, topic)
            due = self._clock() + delay
            count, stale = queue.reject(peer_id, _claims(queue, peer_id, claims), due)
            self._settle(queue)
            queue.topic.wake()
            return Settled(count, stale, queue.options.explicit)

    # Views

    def query_peers(self, topic: str) -> Subscribers:
        """Who is subscribed to a topic; raises `TopicNotFound`."""
        with self._lock:
            return self._subscribers(self._topic(topic))

    def list_topics(self, limit: int, after: str = "") -> list[TopicView]:
        """The first `limit` topics by name that come after `after`."""
        with self._lock:
            return self._topics.view(limit, after)

    def list_peers(self, limit: int, after: str = "") -> list[PeerView]:
        """The first `limit` peers by id that come after `after`."""
        with self._lock:
            return self._peers.view(limit, after, self._clock())

    def stats(self) -> Stats:
        """Totals and what is held now."""
        with self._lock:
            return Stats(
                epoch=self._epoch,
                uptime_seconds=self._clock() - self._began,
                peers=len(self._peers),
                topics=len(self._topics),
                subscriptions=len(self._subscriptions),
                memory_bytes=self._topics.memory.used,
                waiting_pulls=self._waiting,
                published=self._published,
                pulled=self._pulled,
                missed=self._missed,
                acknowledged=self._acknowledged,
                redelivered=self._redelivered,
                dead_lettered=self._dead_lettered,
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
            self._alarm_changed.notify_all()
            self._topics.wake_all()

    # Steps of the calls above; the lock is held.

    def _peer(self, peer_id: str) -> Peer:
        return self._peers.renewed(peer_id, self._clock())

    def _topic(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic.options.max_age is not None:
            self._refreshed(topic)
        return topic

    def _refreshed(self, topic: Topic) -> None:
        topic.expire(self._clock())
        self._alarm(topic, topic.next_expiry())

    def _subscription(self, peer_id: str, topic: str) -> MessageQueue:
        """The peer's message queue, settled."""
        peer = self._peer(peer_id)
        if not peer.knows(topic):
            self._topics.get(topic)
        queue = peer.queue(topic)
        if queue.topic.options.max_age is not None:
            self._refreshed(queue.topic)
        self._settle(queue)
        return queue

    def _settle(self, queue: MessageQueue) -> None:
        now = self._clock()
        if queue.next_deadline() <= now:
            self._dead_lettered += settle(queue, self._topics, now)
        self._watch(queue)

    def _watch(self, queue: MessageQueue) -> None:
        if queue.options.max_attempts is not None:
            self._alarm(queue, queue.next_deadline())

    def _alarm(self, due: MessageQueue | Topic, time: float) -> None:
        if time == NEVER:
            return
        earliest = self._alarms.next()
        self._alarms.set(due, time)
        if time < earliest:
            self._alarm_changed.notify()

    def _subscribers(self, topic: Topic) -> Subscribers:
        addresses = {peer_id: self._peers[peer_id].address for peer_id in topic.subscribers}
        return Subscribers(list(addresses), {peer_id: url for peer_id, url in addresses.items() if url})

    def _remove_peer(self, peer: Peer) -> None:
        for topic in list(peer.queues):
            self._end_subscription(peer, topic)
        self._peers.remove(peer)

    def _end_subscription(self, peer: Peer, topic: str) -> None:
        queue = self._subscriptions.end(peer, self._topics.get(topic), self._clock())
        if queue.members:
            self._settle(queue)
        else:
            self._alarms.discard(queue)

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
                queue.topic.wait(self._lock, min(left, queue.next_deadline() - self._clock()))
                peer.waiting -= 1
                queue = self._subscription(peer_id, topic)
            return queue
        finally:
            self._waiting -= 1


def _claims(queue: MessageQueue, peer_id: str, claims: Sequence[Claim] | int) -> Sequence[Claim]:
    return queue.in_hands_of(peer_id, claims) if isinstance(claims, int) else claims
