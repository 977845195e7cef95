"""Subscriptions: which peer reads which topic, through which message queue."""

from typing import Any

from peerbus.broker.context import Context
from peerbus.broker.peers import Peer
from peerbus.broker.queue import MessageQueue, QueueOptions
from peerbus.broker.topic import From, Topic
from peerbus.errors import BadRequest, SubscriptionExists, TooManySubscriptions


class Subscriptions:
    """Begins and ends subscriptions, and counts them."""

    __slots__ = ("_context", "_count")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def begin(self, peer: Peer, topic: Topic, start: From | None, group: str | None, named: dict[str, Any]) -> bool:
        """Subscribe `peer`, or change what is named of its subscription; says whether it is new.

        `named` are the `QueueOptions` to set; a group's members share them, and their position, which `start`
        moves for who has a subscription already: who joins takes it as it is.
        Raises `SubscriptionExists`, `TooManySubscriptions`, `StorageFull` and `BadRequest`.
        """
        queue = peer.queues.get(topic.name)
        if queue is None:
            return self._join(peer, topic, start, group, named)
        if group is not None and topic.groups.get(group) is not queue:
            raise SubscriptionExists(
                f"Peer '{peer.peer_id}' is subscribed to topic '{topic.name}' outside of group '{group}'. "
                "Unsubscribe first."
            )
        options = _options(queue.options, named)
        if options != queue.options or start is not None:
            queue.options = options
            self._context.journal.queue_changed(queue)
        if start is not None:
            queue.seek(topic.position(start))
        return False

    def end(self, peer: Peer, topic: Topic, now: float) -> MessageQueue:
        """End the subscription of `peer`, and give what it has not acknowledged back to its group."""
        queue = peer.queues.pop(topic.name)
        del topic.subscribers[peer.peer_id]
        self._count -= 1
        queue.leave(peer.peer_id, now)
        if not queue.members and queue.group is not None:
            del topic.groups[queue.group]
        if queue.members:
            self._context.journal.queue_changed(queue)
        else:
            self._context.journal.queue_removed(queue)
        return queue

    def end_all(self, topic: Topic, peers: list[Peer]) -> None:
        """End all subscriptions to a topic that is deleted, and note for each peer that it was."""
        for peer in peers:
            self._context.journal.queue_removed(peer.queues[topic.name])
            peer.topic_deleted(topic.name)
        self._count -= len(peers)
        topic.subscribers.clear()  # or else it and its queues would hold each other
        topic.groups.clear()

    def _join(self, peer: Peer, topic: Topic, start: From | None, group: str | None, named: dict[str, Any]) -> bool:
        if self._count >= self._context.limits.max_subscriptions:
            raise TooManySubscriptions(f"{self._count} subscriptions exist, which is as many as the server takes.")
        queue = topic.groups.get(group) if group is not None else None
        options = _options(queue.options if queue else QueueOptions(), named)
        self._context.journal.check_room(0)
        if queue is None:
            position = topic.position("latest" if start is None else start)
            queue = MessageQueue(topic, position, options, group, self._context.journal.new_number())
        queue.options = options
        self.add(peer, queue)
        self._context.journal.queue_changed(queue)
        peer.subscribed_anew(topic.name)
        return True

    def add(self, peer: Peer, queue: MessageQueue) -> None:
        """Make a peer a member of a message queue."""
        topic = queue.topic
        if queue.group is not None:
            topic.groups[queue.group] = queue
        queue.members[peer.peer_id] = None
        topic.subscribers[peer.peer_id] = peer.queues[topic.name] = queue
        self._count += 1


def _options(options: QueueOptions, named: dict[str, Any]) -> QueueOptions:
    changed = options._replace(**named)
    if not changed.explicit and named.keys() - {"explicit"}:
        raise BadRequest(
            f"{', '.join(sorted(named.keys() - {'explicit'}))} only mean something with ack: explicit - at $.ack"
        )
    return changed
