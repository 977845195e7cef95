"""The broker's read-only calls."""

import heapq
from collections.abc import Callable, Iterable
from itertools import islice
from threading import Lock
from typing import Literal

from msgspec import structs

from peerbus.broker.queue import MessageQueue, group_queue
from peerbus.broker.results import Backlog, Peeked, QueueFigures, ScheduledPage
from peerbus.broker.state import State
from peerbus.broker.structures import NEVER
from peerbus.broker.topic import Topic
from peerbus.broker.wall_clock import of_day
from peerbus.errors import PeerbusError
from peerbus.wire.views import InFlightView, PeerView, Stats, SubscriptionView, TopicView

Order = Literal["name", "unread"]
"""The order of a listing: by name, or the queue furthest behind first."""
NO_BACKLOG = Backlog(0, 0)
PEERS_SHOWN = 10
"""Members of a group whose ids a view has."""


class Overview:
    """The broker's read-only calls: they move nothing and renew no lease. A topic drops messages past their age first.

    Every public method is one atomic step: it takes the lock once and returns detached values.
    """

    def __init__(self, state: State, lock: Lock) -> None:
        """`lock` guards `state`."""
        self._state = state
        self._lock = lock

    @property
    def closing(self) -> bool:
        """Whether the broker was closed: all waiting is ended."""
        return self._state.closing

    @property
    def refusal(self) -> PeerbusError | None:
        """The error of the disk with which new things are refused, while they are."""
        return self._state.changes.refusal

    @property
    def is_stuck(self) -> bool:
        """Whether calls that change something wait, because nothing can be written to the disk."""
        return self._state.changes.is_stuck

    def token_hash(self, peer_id: str) -> bytes | None:
        """The hash of a peer's token; None for an unknown peer, and one without a token."""
        with self._lock:
            peer = self._state.peers.find(peer_id)
            return peer.token_hash if peer else None

    def topic_creator(self, topic: str) -> str | None:
        """The peer that created a topic, if one did; raises `TopicNotFound`."""
        with self._lock:
            return self._state.topic(topic).creator

    def members(self, topic: str, group: str) -> frozenset[str]:
        """The members of a group; none for a topic or a group that does not exist. 1 ms for 50,000."""
        with self._lock:
            found = self._state.topics.find(topic)
            queue = self._state.subscriptions.of(found).queues.get(group_queue(group)) if found else None
            return frozenset(queue.members) if queue else frozenset()

    def subscribers(self, topic: str) -> list[str]:
        """The peers that are subscribed to a topic, 1 ms for 50,000; raises `TopicNotFound`."""
        with self._lock:
            return self._state.subscribers(self._state.topic(topic))

    def addresses(self, peer_ids: Iterable[str]) -> dict[str, str]:
        """The addresses of those of the peers that are registered and have one, 0.2 us for each."""
        with self._lock:
            return self._state.peers.addresses(peer_ids)

    def list_topics(self, limit: int, after: str = "") -> list[TopicView]:
        """The first `limit` topics by name that come after `after`."""
        with self._lock:
            state = self._state
            return [_topic_view(state, topic) for topic in state.topics.page(limit, after)]

    def topic_names(self, limit: int, after: str = "") -> list[str]:
        """The first `limit` names of topics, in order, that come after `after`: 0.1 ms for 5,000."""
        with self._lock:
            return self._state.topics.names(limit, after)

    def topic_views(self, names: Iterable[str]) -> list[TopicView]:
        """The named topics as they are now, without those that are gone; 2 us for each."""
        with self._lock:
            state = self._state
            return [_topic_view(state, topic) for name in names if (topic := state.topics.find(name))]

    def list_peers(self, limit: int, after: str = "") -> list[PeerView]:
        """The first `limit` peers by id that come after `after`."""
        with self._lock:
            return self._state.peers.view(limit, after, self._state.clock())

    def backlogs(self, limit: int, after: str = "") -> dict[str, Backlog]:
        """The backlogs of the first `limit` topics by name that come after `after`, 1 us for each."""
        with self._lock:
            return {topic.name: Backlog(topic.unread, topic.end) for topic in self._state.topics.page(limit, after)}

    def queue_counts(self, topics: Iterable[str]) -> list[int]:
        """The number of message queues of each of `topics`, 0.3 us for each."""
        with self._lock:
            find, of = self._state.topics.find, self._state.subscriptions.of
            return [len(of(topic).queues) if (topic := find(name)) else 0 for name in topics]

    def queue_names(self, topic: str) -> list[str]:
        """The names of a topic's message queues, in no order, 1 ms for 50,000; raises `TopicNotFound`."""
        with self._lock:
            return list(self._state.subscriptions.of(self._state.topics.get(topic)).queues)

    def queue_backlogs(self, topic: str, names: Iterable[str]) -> list[Backlog]:
        """The backlog of each of the named message queues of a topic, 0.5 us for each; a queue that is gone has none.

        Raises `TopicNotFound`.
        """
        with self._lock:
            found = self._state.topics.get(topic)
            queues = self._state.subscriptions.of(found).queues
            return [Backlog(queue.backlog, found.end) if (queue := queues.get(name)) else NO_BACKLOG for name in names]

    def queue_figures(self, topic: str, names: Iterable[str]) -> list[QueueFigures]:
        """Figures of the named message queues of a topic, without those that ended; 2 us for each.

        Raises `TopicNotFound`.
        """
        with self._lock:
            queues = self._state.subscriptions.of(self._state.topics.get(topic)).queues
            now = self._state.clock()
            return [_figures(queue, now) for name in names if (queue := queues.get(name))]

    def subscribed_topics(self, peer_id: str) -> list[str]:
        """The topics that a peer is subscribed to, in no order, 2 ms for 50,000; raises `PeerNotFound`."""
        with self._lock:
            queues = self._state.peers.get(peer_id).queues
            return [topic for topic, queue in queues.items() if not queue.topic.deleted]

    def queue_views(self, topic: str, names: Iterable[str]) -> list[SubscriptionView]:
        """The named message queues of a topic as they are now, without those that ended; 3 us for each.

        Raises `TopicNotFound`.
        """
        with self._lock:
            queues = self._state.subscriptions.of(self._state.topics.get(topic)).queues
            return [self._view(queue) for name in names if (queue := queues.get(name))]

    def subscription_views(self, peer_id: str, topics: Iterable[str]) -> list[SubscriptionView]:
        """A peer's message queues on the topics named, as they are now, without those that ended; 3 us for each.

        Raises `PeerNotFound`.
        """
        with self._lock:
            peer, find = self._state.peers.get(peer_id), self._state.subscriptions.find
            return [self._view(queue) for topic in topics if (queue := find(peer, topic))]

    def list_subscriptions(
        self,
        limit: int,
        after: str = "",
        *,
        topic: str | None = None,
        peer_id: str | None = None,
        order: Order = "name",
    ) -> list[SubscriptionView]:
        """Message queues of a topic, of a peer, or the one of both, as they are now; its cost grows with all of them.

        The first `limit` that come after `after`: those of a peer by topic, others by the name of the queue, or in
        either case those with the most messages after the acknowledged ones. Raises `TopicNotFound`, `PeerNotFound`.
        """
        with self._lock:
            state = self._state
            queues = None if topic is None else state.subscriptions.of(state.topics.get(topic)).queues
            if peer_id is None:
                return self._listing((queues or {}).values(), lambda queue: queue.name, limit, after, order)
            of_peer = [queue for queue in state.peers.get(peer_id).queues.values() if not queue.topic.deleted]
            both = of_peer if queues is None else [queue for queue in of_peer if queues.get(queue.name) is queue]
            return self._listing(both, lambda queue: queue.topic.name, limit, after, order)

    def list_scheduled(self, topic: str, limit: int, after: tuple[int, int] | None = None) -> ScheduledPage:
        """The first `limit` entries of a topic's scheduled messages by due time, after the place `after`.

        A place is the `next` of the page before it. Raises `TopicNotFound`.
        """
        with self._lock:
            return self._state.scheduling.page(self._state.topics.get(topic), limit, after)

    def in_flight(
        self, topic: str, limit: int, after: int = -1, *, group: str | None = None, peer_id: str | None = None
    ) -> list[InFlightView]:
        """The first `limit` messages in flight after the offset `after`, in the queue of a group or of a peer.

        With both, the peer is to be a member of the group. The call costs a copy of all offsets in flight, 1 ms for
        100,000, and 2 us for each view. Raises `TopicNotFound`, `PeerNotFound` and `NotSubscribed`.
        """
        with self._lock:
            found = self._state.topics.get(topic)
            if peer_id is None:
                queue = self._state.subscriptions.group(found, str(group))
            else:
                queue = self._state.subscriptions.of_peer(self._state.peers.get(peer_id), topic, group)
            ahead = found.context.wall_clock.ahead
            return [
                InFlightView(
                    offset,
                    delivery.member or None,
                    delivery.attempt,
                    of_day(delivery.since, ahead),
                    of_day(delivery.due, ahead),
                )
                for offset, delivery in queue.in_flight.page(limit, after)
            ]

    def peek(
        self, topic: str, limit: int, max_bytes: int, start: int | None = None, *, details: bool = False
    ) -> Peeked:
        """The last retained messages of a topic, or those from the offset `start` on.

        Up to `limit`, and up to `max_bytes` together but at least one; no more bytes than one pull hands over. Raises
        `TopicNotFound`, and `BadRequest` for an offset that has no message yet.
        """
        max_bytes = min(max_bytes, self._state.limits.max_pull_bytes)
        with self._lock:
            found = self._state.topic(topic)
            if start is None:
                first, values = found.latest(limit, max_bytes)
            else:
                first, values = found.following(start, limit, max_bytes)
            told = found.details(range(first, first + len(values))) if details else None
            return Peeked(first, values, found.start, told)

    def stats(self) -> Stats:
        """Totals since the server started, and the present figures."""
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
                waiting_pulls=len(state.long_polls),
                stored_bytes=state.changes.stored_bytes,
                dead_lettered=state.maintenance.dead_lettered,
                scheduled=state.scheduling.messages,
                scheduled_waiting=state.scheduling.waiting,
                max_peers=state.limits.max_peers,
                max_topics=state.limits.max_topics,
                max_subscriptions=state.limits.max_subscriptions,
                max_bytes=state.limits.max_bytes,
                max_scheduled=state.limits.max_scheduled,
                **structs.asdict(state.totals),
            )

    def _listing(
        self,
        queues: Iterable[MessageQueue],
        name: Callable[[MessageQueue], str],
        limit: int,
        after: str,
        order: Order,
    ) -> list[SubscriptionView]:
        """The first `limit` of the queues whose `name` comes after `after`, as they are now."""
        found = (queue for queue in queues if name(queue) > after)
        if order == "name":
            return [self._view(queue) for queue in heapq.nsmallest(limit, found, key=name)]
        return [self._view(queue) for queue in heapq.nlargest(limit, found, key=_behind)]

    def _view(self, queue: MessageQueue) -> SubscriptionView:
        state, options, now = self._state, queue.options, self._state.clock()
        ends_at = state.expiry.time(queue)
        is_away = queue.group is None and state.expiry.left_at(queue) is not None
        return SubscriptionView(
            topic=queue.topic.name,
            queue=queue.name,
            group=queue.group,
            peers=[] if is_away else list(islice(queue.members, PEERS_SHOWN)),
            members=0 if is_away else len(queue.members),
            ack="explicit" if options.explicit else "auto",
            ack_deadline=options.ack_deadline if options.explicit else None,
            max_attempts=options.max_attempts,
            dead_letter_topic=options.dead_letter_topic,
            next_offset=queue.cursor,
            resume_from=queue.position,
            unread=queue.unread,
            unacknowledged=len(queue.in_flight),
            missed=queue.missed,
            oldest_unread_seconds=queue.oldest_unread(now),
            idle_seconds=max(0.0, now - queue.used_at),
            expires_after=None if queue.expires_after == NEVER else queue.expires_after,
            expires_in=None if ends_at == NEVER else max(0.0, ends_at - now),
            push_to=[
                target.view(member, now) for member, target in islice(queue.members.items(), PEERS_SHOWN) if target
            ],
        )


def _behind(queue: MessageQueue) -> int:
    return queue.topic.end - queue.position


def _topic_view(state: State, topic: Topic) -> TopicView:
    return topic.view(len(state.subscriptions.of(topic).by_peer), state.clock())


def _figures(queue: MessageQueue, now: float) -> QueueFigures:
    return QueueFigures(
        queue.topic.name,
        queue.name,
        queue.unread,
        len(queue.in_flight),
        queue.pulled_total,
        queue.missed_total,
        queue.oldest_unread(now) or 0.0,
    )
