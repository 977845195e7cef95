"""Subscriptions: which peer reads which topic, through which message queue."""

from typing import Any

from peerbus.broker.context import Context
from peerbus.broker.memory_budget import RELEASED_AT_ONCE
from peerbus.broker.peers import Peer, Peers
from peerbus.broker.queue import MessageQueue, QueueOptions, group_queue
from peerbus.broker.topic import From, Topic
from peerbus.errors import BadRequest, NotSubscribed, SubscriptionExists, TooManySubscriptions, TopicDeleted

IN_FLIGHT_PER_UNIT = 200
"""Messages in flight that take as long to forget as it takes to end a subscription."""
FREED_PER_UNIT = 50
"""Messages that take as long to free."""


class Subscribers:
    """The subscribers of one topic."""

    __slots__ = ("by_peer", "queues")

    def __init__(self) -> None:
        self.by_peer: dict[str, MessageQueue] = {}
        """The message queue of each subscribed peer; the members of a group have the same."""
        self.queues: dict[str, MessageQueue] = {}
        """The message queues by name."""


NOBODY = Subscribers()
"""Of a topic without subscribers; never changed."""


def cost(queue: MessageQueue) -> int:
    """The cost of ending a subscription, in units of that of one without messages: 3 us."""
    backlog = 0 if queue.topic.deleted else min(queue.topic.end - queue.position, RELEASED_AT_ONCE)
    return 1 + len(queue.in_flight) // IN_FLIGHT_PER_UNIT + backlog // FREED_PER_UNIT


class Subscriptions:
    """Begins and ends subscriptions, and counts them."""

    __slots__ = ("_context", "_count", "_deleted", "_topics")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._count = 0
        self._topics: dict[Topic, Subscribers] = {}
        self._deleted: dict[Topic, None] = {}
        """Deleted topics that some peers still have among their queues."""

    def __len__(self) -> int:
        return self._count

    def of(self, topic: Topic) -> Subscribers:
        """The subscribers of a topic."""
        return self._topics.get(topic, NOBODY)

    def find(self, peer: Peer, topic: str) -> MessageQueue | None:
        """The message queue of `peer` on a topic that exists, or None when it is not subscribed."""
        queue = peer.queues.get(topic)
        return None if queue is None or queue.topic.deleted else queue

    def get(self, peer: Peer, topic: str) -> MessageQueue:
        """The message queue of `peer` on a topic.

        Raises `NotSubscribed`, and `TopicDeleted` the first time that it is asked for on a deleted topic.
        """
        queue = self.find(peer, topic)
        if queue is not None:
            return queue
        if self._forget_deleted(peer, topic):
            raise TopicDeleted(
                f"Topic '{topic}' was deleted, with the subscription of peer '{peer.peer_id}' to it. "
                "If it is created again, subscribe again."
            )
        raise NotSubscribed(f"Peer '{peer.peer_id}' is not subscribed to topic '{topic}'. POST /subscribe first.")

    def begin(self, peer: Peer, topic: Topic, start: From | None, group: str | None, named: dict[str, Any]) -> bool:
        """Subscribe `peer`, or change the options named of its subscription; returns whether it is new.

        `named` are the `QueueOptions` to set; a group's members share them, and their position. `start` moves the
        queue of a peer that is subscribed already; a peer that joins a group takes its position as it is.
        Raises `SubscriptionExists`, `TooManySubscriptions`, `StorageFull` and `BadRequest`.
        """
        queue = self.find(peer, topic.name)
        if queue is None:
            return self._join(peer, topic, start, group, named)
        if group not in (None, queue.group):
            raise SubscriptionExists(
                f"Peer '{peer.peer_id}' is subscribed to topic '{topic.name}' outside of group '{group}'. "
                "Unsubscribe first."
            )
        options = _options(queue.options, named)
        if options != queue.options or start is not None:
            queue.options = options
            self._context.changes.queue_changed(queue)
        if start is not None:
            queue.seek(topic.position(start))
        return False

    def add(self, peer: Peer, queue: MessageQueue) -> None:
        """Make a peer a member of a message queue."""
        queue.members[peer.peer_id] = None
        subscribers = self._topics.setdefault(queue.topic, Subscribers())
        subscribers.queues[queue.name] = queue
        subscribers.by_peer[peer.peer_id] = peer.queues[queue.topic.name] = queue
        self._count += 1

    def end(self, peer: Peer, queue: MessageQueue) -> None:
        """End a subscription: messages in flight to the peer are overdue; the last member closes the queue.

        A subscription to a deleted topic ends without a note for the peer.
        """
        name = queue.name
        peer.queues.pop(queue.topic.name, None)
        queue.leave(peer.peer_id)
        subscribers = self._topics[queue.topic]
        subscribers.by_peer.pop(peer.peer_id, None)
        self._count -= not queue.topic.deleted
        if queue.members:
            self._context.changes.queue_changed(queue)
        else:
            del subscribers.queues[name]
            self._context.changes.queue_removed(queue)
        if not subscribers.by_peer:
            self._end_topic(queue.topic)

    def topic_deleted(self, topic: Topic) -> None:
        """End all subscriptions to a deleted topic at once; `end_deleted` does the rest, peer by peer."""
        self._count -= len(self.of(topic).by_peer)
        if topic in self._topics:
            self._deleted[topic] = None
        else:
            self._context.changes.topic_removed(topic)

    @property
    def deleted_left(self) -> bool:
        """Whether `end_deleted` has something to do."""
        return bool(self._deleted)

    def end_deleted(self, peers: Peers, limit: int) -> list[MessageQueue]:
        """End subscriptions to deleted topics, at a `cost` of `limit` together; the next pull of each answers 410.

        Returns the queues closed.
        """
        closed = []
        while self._deleted and limit > 0:
            topic = next(iter(self._deleted))
            peer_id, queue = self.of(topic).by_peer.popitem()
            limit -= cost(queue)
            self.end(peers[peer_id], queue)
            peers[peer_id].topic_deleted(topic.name)
            if not queue.members:
                closed.append(queue)
        return closed

    def _end_topic(self, topic: Topic) -> None:
        """The last subscriber of a topic is gone."""
        del self._topics[topic]
        if topic.deleted:
            del self._deleted[topic]
            self._context.changes.topic_removed(topic)

    def _forget_deleted(self, peer: Peer, topic: str) -> bool:
        """Clear the 410 that a pull of `topic` is to answer, if any; returns whether there was one."""
        if topic in peer.queues:
            self.end(peer, peer.queues[topic])
            return True
        return peer.forget_deleted(topic)

    def _join(self, peer: Peer, topic: Topic, start: From | None, group: str | None, named: dict[str, Any]) -> bool:
        if self._count >= self._context.limits.max_subscriptions:
            raise TooManySubscriptions(f"{self._count} subscriptions exist, which is as many as the server takes.")
        queue = self.of(topic).queues.get(group_queue(group)) if group is not None else None
        options = _options(queue.options if queue else QueueOptions(), named)
        self._context.changes.check_room(0)
        self._forget_deleted(peer, topic.name)
        if queue is None:
            position = topic.position("latest" if start is None else start)
            queue = MessageQueue(topic, position, options, group, self._context.numbers.next())
        queue.options = options
        self.add(peer, queue)
        self._context.changes.queue_changed(queue)
        return True


def _options(options: QueueOptions, named: dict[str, Any]) -> QueueOptions:
    changed = options._replace(**named)
    if not changed.explicit and named.keys() - {"explicit"}:
        raise BadRequest(
            f"{', '.join(sorted(named.keys() - {'explicit'}))} only mean something with ack: explicit - at $.ack"
        )
    return changed
