"""Subscriptions: which peer reads which topic, through which message queue."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from peerbus.broker.context import Context
from peerbus.broker.memory_budget import RELEASED_AT_ONCE
from peerbus.broker.peers import Peer
from peerbus.broker.push_target import PushOptions, PushTarget, changed
from peerbus.broker.queue import MessageQueue, QueueOptions, group_queue
from peerbus.broker.topic import From, Topic
from peerbus.errors import BadRequest, NotSubscribed, SubscriptionExists, TooManySubscriptions

IN_FLIGHT_PER_UNIT = 200
"""Messages in flight that take as long to forget as it takes to end a subscription."""
FREED_PER_UNIT = 50
"""Messages that take as long to free."""
ALWAYS_MEANINGFUL = {"explicit", "expires_after"}
"""The options of a queue that do not need explicit acknowledgement."""


class Named(NamedTuple):
    """The options that a call to subscribe names: `QueueOptions` and `PushOptions`."""

    queue: Mapping[str, Any]
    push: Mapping[str, Any]


class Subscribers:
    """The subscribers of one topic, and its message queues."""

    __slots__ = ("_furthest_behind", "by_peer", "empty", "queues")

    def __init__(self) -> None:
        self.by_peer: dict[str, MessageQueue] = {}
        """The message queue of each subscribed peer; the members of a group have the same."""
        self.queues: dict[str, MessageQueue] = {}
        """The message queues by name."""
        self.empty = 0
        """How many of the queues have no members."""
        self._furthest_behind: MessageQueue | None = None

    def furthest_behind(self, position: int) -> MessageQueue | None:
        """A message queue that is at `position`, the first retained message that any has unread, or before it.

        Its cost grows with the number of queues, but only when it is another one than before.
        """
        known = self._furthest_behind
        if known is None or known.position > position or self.queues.get(known.name) is not known:
            self._furthest_behind = next((queue for queue in self.queues.values() if queue.position <= position), None)
        return self._furthest_behind


NOBODY = Subscribers()
"""Of a topic without subscribers; never changed."""


def cost(queue: MessageQueue) -> int:
    """The cost of ending a subscription, in units of that of one without messages: 3 us."""
    backlog = 0 if queue.topic.deleted else min(queue.topic.end - queue.position, RELEASED_AT_ONCE)
    return 1 + len(queue.in_flight) // IN_FLIGHT_PER_UNIT + backlog // FREED_PER_UNIT


class Subscriptions:
    """Begins and ends subscriptions, and counts them; a queue without members counts as one."""

    __slots__ = ("_context", "_count", "_deleted", "_topics")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._count = 0
        self._topics: dict[Topic, Subscribers] = {}
        self._deleted: dict[Topic, None] = {}
        """Deleted topics that still have message queues."""

    def __len__(self) -> int:
        return self._count

    def of(self, topic: Topic) -> Subscribers:
        """The subscribers of a topic."""
        return self._topics.get(topic, NOBODY)

    def find(self, peer: Peer, topic: str) -> MessageQueue | None:
        """The message queue of `peer` on a topic that exists, or None when it is not subscribed."""
        queue = peer.queues.get(topic)
        return None if queue is None or queue.topic.deleted else queue

    def stands(self, queue: MessageQueue) -> bool:
        """Whether a message queue has not ended."""
        return self.of(queue.topic).queues.get(queue.name) is queue

    def group(self, topic: Topic, group: str) -> MessageQueue:
        """The message queue of a group; raises `NotSubscribed` where there is none."""
        queue = self.of(topic).queues.get(group_queue(group))
        if queue is None:
            raise NotSubscribed(f"Topic '{topic.name}' has no message queue of a group '{group}'.")
        return queue

    def of_peer(self, peer: Peer, topic: str, group: str | None = None) -> MessageQueue:
        """The message queue of a peer on a topic that exists, in `group` if that is named; raises `NotSubscribed`."""
        queue = self.find(peer, topic)
        if queue is None or group not in (None, queue.group):
            place = f"topic '{topic}'" if group is None else f"topic '{topic}' in group '{group}'"
            raise NotSubscribed(f"Peer '{peer.peer_id}' is not subscribed to {place}. POST /subscribe first.")
        return queue

    def change(self, peer: Peer, queue: MessageQueue, group: str | None, named: Named) -> None:
        """Change the options named of a peer's subscription, which is in `group` if that is named.

        Raises `SubscriptionExists` and `BadRequest`.
        """
        if group not in (None, queue.group):
            raise SubscriptionExists(
                f"Peer '{peer.peer_id}' is subscribed to topic '{queue.topic.name}' outside of group '{group}'. "
                "Unsubscribe first."
            )
        options = _options(queue.options, named.queue)
        before = queue.members[peer.peer_id]
        push = self._push_options(peer, queue, options, named)
        if options != queue.options or push != (before.options if before else None):
            queue.options = options
            self._push_to(peer, queue, push)
            self._context.changes.queue_changed(queue)

    def join(
        self, peer: Peer, topic: Topic, start: From, group: str | None, named: Named, now: float
    ) -> tuple[MessageQueue, bool]:
        """Subscribe `peer`: to the queue of its `group` where that stands, else to a new queue that begins at `start`.

        `named` are the options to set; a group's members share those of the queue, and its position. Returns the
        queue, and whether it is new. Raises `TooManySubscriptions`, one of `UNKEPT` and `BadRequest`.
        """
        name = peer.peer_id if group is None else group_queue(group)
        queue = self.of(topic).queues.get(name)
        options = _options(queue.options if queue else QueueOptions(), named.queue)
        push = self._push_options(peer, queue, options, named)
        if self._count >= self._context.limits.max_subscriptions and not (queue and not queue.members):
            raise TooManySubscriptions(f"{self._count} subscriptions exist, which is as many as the server takes.")
        self._context.changes.check_room(0)
        is_new = queue is None
        if queue is None:
            number = self._context.numbers.next()
            queue = MessageQueue(topic, topic.position(start), options, name, group, number, now)
        queue.options = options
        self.add(peer, queue)
        self._push_to(peer, queue, push)
        self._context.changes.queue_changed(queue)
        return queue, is_new

    def _push_options(
        self, peer: Peer, queue: MessageQueue | None, options: QueueOptions, named: Named
    ) -> PushOptions | None:
        """The options of the push target that a peer has with the options named; raises `BadRequest`."""
        members = queue.members if queue else {}
        before = members.get(peer.peer_id)
        push = changed(before.options if before else None, named.push)
        if not options.explicit and push:
            raise BadRequest("push_to only means something with ack: explicit - at $.push_to")
        if not options.explicit and any(target for member, target in members.items() if member != peer.peer_id):
            raise BadRequest("Messages are pushed to other members of the group: ack stays explicit - at $.ack")
        return push

    def _push_to(self, peer: Peer, queue: MessageQueue, push: PushOptions | None) -> None:
        before = queue.members[peer.peer_id]
        if push != (before.options if before else None):
            queue.members[peer.peer_id] = PushTarget(push, self._context.numbers.next()) if push else None
            queue.end_push(before)

    def add(self, peer: Peer, queue: MessageQueue) -> None:
        """Make a peer a member of a message queue."""
        subscribers = self._topics.setdefault(queue.topic, Subscribers())
        if queue.name in subscribers.queues and not queue.members:
            subscribers.empty -= 1
        else:
            self._count += 1
        subscribers.queues[queue.name] = queue
        queue.join(peer.peer_id)
        subscribers.by_peer[peer.peer_id] = peer.queues[queue.topic.name] = queue

    def keep(self, topic: Topic, group: str, options: QueueOptions, now: float) -> None:
        """Make sure that a group has a message queue on a topic; a new one begins with the next message."""
        name = group_queue(group)
        if name in self.of(topic).queues:
            return
        queue = MessageQueue(topic, topic.end, options, name, group, self._context.numbers.next(), now)
        queue.left_at = now
        self.add_empty(queue)
        self._context.changes.queue_changed(queue)

    def add_empty(self, queue: MessageQueue) -> None:
        """Keep a group's message queue that has no members."""
        subscribers = self._topics.setdefault(queue.topic, Subscribers())
        subscribers.queues[queue.name] = queue
        subscribers.empty += 1
        self._count += 1

    def leave(self, peer: Peer, queue: MessageQueue, now: float) -> None:
        """End a membership: messages in flight to the peer are overdue. The queue stands, until `close`."""
        peer.forget_queue(queue)
        queue.leave(peer.peer_id, now)
        subscribers = self._topics[queue.topic]
        subscribers.by_peer.pop(peer.peer_id, None)
        if queue.members:
            self._count -= not queue.topic.deleted
        else:
            subscribers.empty += 1
        self._context.changes.queue_changed(queue)

    def close(self, queue: MessageQueue) -> None:
        """End a message queue without members."""
        queue.close()
        subscribers = self._topics[queue.topic]
        del subscribers.queues[queue.name]
        subscribers.empty -= 1
        self._count -= not queue.topic.deleted
        self._context.changes.queue_removed(queue)
        if not subscribers.queues:
            self._end_topic(queue.topic)

    def topic_deleted(self, topic: Topic) -> None:
        """End all subscriptions to a deleted topic at once; its queues are left to be closed, see `deleted`."""
        subscribers = self.of(topic)
        self._count -= len(subscribers.by_peer) + subscribers.empty
        if topic in self._topics:
            self._deleted[topic] = None
        else:
            self._context.changes.topic_removed(topic)

    @property
    def deleted(self) -> Topic | None:
        """A deleted topic that still has message queues, if there is one."""
        return next(iter(self._deleted), None)

    def _end_topic(self, topic: Topic) -> None:
        """The last message queue of a topic is closed."""
        del self._topics[topic]
        if topic.deleted:
            del self._deleted[topic]
            self._context.changes.topic_removed(topic)


def _options(options: QueueOptions, named: Mapping[str, Any]) -> QueueOptions:
    changed = options._replace(**named)
    if not changed.explicit and named.keys() - ALWAYS_MEANINGFUL:
        raise BadRequest(
            f"{', '.join(sorted(named.keys() - ALWAYS_MEANINGFUL))} only mean something with ack: explicit - at $.ack"
        )
    return changed
