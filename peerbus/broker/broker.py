"""The broker: peers, topics and message queues behind one lock."""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from peerbus.broker.change_listener import ChangeListener, IgnoreChanges
from peerbus.broker.dead_letters import GROUP
from peerbus.broker.dedup import ID_SIZE, Seen
from peerbus.broker.deliveries import Deliveries
from peerbus.broker.limits import Limits
from peerbus.broker.log import size_of
from peerbus.broker.push_target import PushKey
from peerbus.broker.queue import MessageQueue, group_queue
from peerbus.broker.records import Changes, Contents
from peerbus.broker.restore import restore
from peerbus.broker.results import (
    Cancelled,
    Deleted,
    DueResult,
    Ended,
    Published,
    Redriven,
    Registered,
    Subscribed,
)
from peerbus.broker.state import PER_SLICE, Slice, State
from peerbus.broker.subscriptions import Named
from peerbus.broker.topic import From, NamedOptions, Overflow
from peerbus.errors import UNKEPT, BadRequest, MemoryFull, TooManyScheduled, TopicFull

T = TypeVar("T")


def _ignore() -> None:
    pass


def _named(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _duplicate(seen: Seen) -> Published:
    offset, count, scheduled, _ = seen
    return Published(offset, count, duplicate=True, scheduled=scheduled)


class Broker(Deliveries):
    """The calls that change the state, besides those that read it. Message values are opaque bytes.

    Every public method is one atomic step: it takes the lock once and returns detached values. None blocks. Where a
    step can be long, because it is about 100,000 messages or subscriptions, another method offers it in slices.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_topic_deleted: Callable[[str, Sequence[str]], None] | None = None,
        journal: ChangeListener | None = None,
        contents: Contents | None = None,
        wall_clock: Callable[[], float] = time.time,
        on_due: Callable[[], None] = _ignore,
        per_slice: Slice = PER_SLICE,
    ) -> None:
        """Begin empty, with a new epoch, or with `contents`, which are used up. `journal` receives all changes.

        `clock` gives the time in seconds for leases and windows; the times in `contents` are those of `wall_clock`,
        which goes on while no broker runs. `on_topic_deleted` is called with a deleted topic and the ids of its
        subscribers, outside the lock. `on_due` is called under the lock when `run_due` has to be called
        sooner than it last returned, and before its first call. Neither may block. `per_slice` bounds one `run_due`.
        """
        lock = Lock()
        state = State(limits or Limits(), clock, wall_clock, journal or IgnoreChanges(), on_due, per_slice)
        super().__init__(state, lock)
        self._clock = clock
        self._on_topic_deleted = on_topic_deleted
        if contents is not None:
            restore(self._state, contents)

    # Peers

    def register_peer(
        self,
        peer_id: str,
        address: str | UnsetType | None = UNSET,
        lease_seconds: float | UnsetType | None = UNSET,
        token_hash: bytes | None = None,
    ) -> Registered:
        """Register a peer or renew its lease; keeps the address and the lease of a known peer where not named.

        A peer that is away is back, with its queues. A `token_hash` is kept, and peers that have one are renewed by
        that one alone, or by none, unless they are away. Raises `Forbidden` for another, `TooManyPeers` and
        one of `UNKEPT`.
        """
        with self._lock:
            known = self._state.peers.find(peer_id)
            created = known is None or known.away_since is not None
            peer = known or self._state.peers.register(peer_id)
            token_is_new = peer.update(address, lease_seconds, token_hash)
            self._state.peers.renew(peer, self._clock())
            self._state.check_due()
            return Registered(created, self._state.epoch, token_is_new)

    def unregister_peer(self, peer_id: str) -> int:
        """Remove a peer with its own queues; it leaves its groups, and its waiting pulls end.

        Returns how many messages are discarded: those unread in the queues that end. Raises `PeerNotFound`. Takes
        200 ms for 50,000 subscriptions: see `end_subscriptions`.
        """
        with self._lock:
            return self._state.end_subscriptions(self._state.peers.get(peer_id)).discarded

    def end_subscriptions(self, peer_id: str, limit: int) -> Ended:
        """End up to `limit` subscriptions of a peer, which is removed with the last one, in the same step.

        Called until none is left, it is `unregister_peer` in slices. Fewer subscriptions end where they have many
        messages; 500 take up to 3 ms. Raises `PeerNotFound`.
        """
        with self._lock:
            return self._state.end_subscriptions(self._state.peers.get(peer_id), limit)

    def leave(self, peer_id: str, limit: int, *, begin: bool = True) -> Ended:
        """Let a peer go away as if its lease had run out: its own queues stand, for a time, until it comes back.

        It leaves up to `limit` queues; called until none is left, in slices like `end_subscriptions`. The slices after
        the first do not `begin`: a peer that comes back in between keeps the rest. Raises `PeerNotFound`.
        """
        with self._lock:
            peer = self._state.peers.get(peer_id)
            if peer.away_since is None and begin:
                self._state.peers.go_away(peer, self._clock())
            return self._state.leave(peer, limit)

    # Topics

    def create_topic(
        self,
        topic: str,
        max_messages: int | None = None,
        overflow: Overflow | None = None,
        max_age: float | None = None,
        creator: str | None = None,
        history: int | None = None,
    ) -> bool:
        """Create a topic and return whether it is new; an existing one is left as it is.

        `creator` is the calling peer, whose lease is renewed.

        Raises `TopicExists` when it exists with other options than the ones named, `PeerNotFound` for the creator,
        `TooManyTopics`, one of `UNKEPT`, and `BadRequest` for an option beyond the server's own limit.
        """
        return bool(self.create_topics([topic], NamedOptions(max_messages, overflow, max_age, history), creator))

    def create_topics(self, topics: Sequence[str], named: NamedOptions, creator: str | None = None) -> list[str]:
        """Create those of different `topics` that do not exist, or none of them, and return those that are new.

        They get the options that are `named`. 500 take 3 ms. Raises the errors of `create_topic`.
        """
        with self._lock:
            if creator is not None:
                creator = self._state.peer(creator).peer_id
            return self._state.topics.create(topics, named, creator)

    def missing_topics(self, topics: Sequence[str], named: NamedOptions, beside: int) -> int:
        """How many of different `topics` do not exist; 500 take 0.2 ms.

        Raises what `create_topics` would raise for them, with `beside` as many others that do not exist either.
        """
        with self._lock:
            return len(self._state.topics.missing(topics, named, beside))

    def delete_topic(self, topic: str) -> Deleted:
        """Delete a topic with its messages and subscriptions, in one atomic step.

        The next pull of each subscriber raises `TopicDeleted`; waiting pulls do so when `run_due` ends them. It also
        frees the memory of the topic, in slices. Raises `TopicNotFound`.
        """
        with self._lock:
            deleted = self._state.topic(topic)
            result = Deleted(self._state.subscribers(deleted), deleted.unread + deleted.scheduled)
            self._state.delete(deleted)
        if self._on_topic_deleted:
            self._on_topic_deleted(topic, result.peers)
        return result

    # Messages

    def publish(
        self,
        topic: str,
        values: Sequence[bytes],
        peer_id: str | None = None,
        message_id: str | None = None,
        size: int | None = None,
    ) -> Published:
        """Append all of `values` to a topic, or none, and wake the pulls waiting for them.

        Their `size` in bytes is measured unless it is given: 1.6 ms for 100,000. A `message_id` that the topic
        remembers publishes nothing and answers with the offset and count it had, and with the number of the schedule,
        if it was scheduled.
        Raises `TopicNotFound`, `PeerNotFound`, `TopicFull`, `TooLarge`, `MemoryFull` and one of `UNKEPT`.
        """
        size = size_of(values, size)
        with self._lock:
            found = self._state.topic(topic)
            if peer_id is not None:
                peer_id = self._state.peer(peer_id).peer_id
            if message_id is not None:
                seen = found.message_ids.find(message_id)
                if seen is not None:
                    return _duplicate(seen)
            offset = self._state.publish(found, values, size, peer_id, 0 if message_id is None else ID_SIZE)
            if message_id is not None:
                found.remember(message_id, offset, len(values), self._clock())
            if found.expires:
                self._state.refreshed(found)
            return Published(offset, len(values), duplicate=False)

    def schedule(
        self,
        topic: str,
        values: Sequence[bytes],
        peer_id: str | None = None,
        message_id: str | None = None,
        *,
        delay: float | None = None,
        at: float | None = None,
    ) -> Published:
        """Publish all of `values` later: in `delay` seconds, or `at` a time in seconds since 1970.

        `run_due` then publishes them in one step, as soon as there is room. Until then they count against the limits
        of the topic and of memory. A `message_id` counts at once: one that the topic remembers schedules nothing.
        Raises the errors of `publish`, `TooManyScheduled`, and `BadRequest` for a time that is not ahead, or too far.
        """
        size = size_of(values)
        with self._lock:
            found = self._state.topic(topic)
            if peer_id is not None:
                self._state.peer(peer_id)
            if message_id is not None and (seen := found.message_ids.find(message_id)):
                return _duplicate(seen)
            now, scheduling = self._clock(), self._state.scheduling
            due = scheduling.due(delay, at, now)
            try:
                entry = scheduling.schedule(found, values, size, due, peer_id, message_id, now)
            except (TopicFull, MemoryFull, TooManyScheduled, *UNKEPT) as error:
                raise self._state.refused(found, error) from None
            self._state.refreshed(found)
            self._state.check_due()
            return Published(None, len(values), duplicate=False, scheduled=entry.number)

    def cancel_scheduled(self, topic: str, numbers: Sequence[int], peer_id: str | None = None) -> Cancelled:
        """Cancel scheduled messages by the numbers that `schedule` returned; a thousand take up to 2 ms.

        Messages that are published already stay published. `peer_id` is the calling peer, whose lease is renewed.
        Raises `TopicNotFound` and `PeerNotFound`.
        """
        with self._lock:
            found = self._state.topic(topic)
            if peer_id is not None:
                self._state.peer(peer_id)
            return self._state.scheduling.cancel(found, numbers)

    def subscribe(
        self,
        peer_id: str,
        topic: str,
        start: From | None = None,
        group: str | None = None,
        *,
        explicit: bool | None = None,
        ack_deadline: float | None = None,
        max_attempts: int | None = None,
        dead_letter_topic: str | None = None,
        expires_after: float | None = None,
        push_to: str | UnsetType | None = UNSET,
        push_batch: int | None = None,
        push_at_once: int | None = None,
        push_secret: str | None = None,
    ) -> Subscribed:
        """Give a peer a message queue on a topic, beginning at `start`: by default with the next message.

        With a `group` it is the group's. A queue that exists, with or without members, keeps its position whatever
        `start` says, and those of its `QueueOptions` that are not named; see `seek`. Messages from `start` on that are
        freed count as missed; an offset beyond the end means the next message. With `push_to` the peer has a push
        target, see `Pushing`; None removes it, and options of it that are not named stay.
        Raises `PeerNotFound`, `TopicNotFound`, `SubscriptionExists`, `TooManySubscriptions`, one of `UNKEPT`,
        and `BadRequest` for options that contradict each other.
        """
        if dead_letter_topic == topic:
            raise BadRequest("Expected another topic than the subscription's own - at $.dead_letter_topic")
        options = {
            "explicit": explicit,
            "ack_deadline": ack_deadline,
            "max_attempts": max_attempts,
            "dead_letter_topic": dead_letter_topic,
            "expires_after": expires_after,
        }
        push = {"batch": push_batch, "at_once": push_at_once, "secret": push_secret}
        named = Named(_named(options), _named(push) | ({} if push_to is UNSET else {"url": push_to}))
        with self._lock:
            peer, found = self._state.peer(peer_id), self._state.topic(topic)
            queue, created, begun = self._state.subscribe(peer, found, start, group, named)
            return Subscribed(created, begun, queue.cursor, len(queue.members), queue.unread)

    def unsubscribe(self, peer_id: str, topic: str) -> int:
        """End a subscription; its waiting pulls end.

        Returns how many messages are discarded: those unread in a peer's own queue, which ends. A peer leaves its
        group, whose queue stands: the messages that the peer has in flight go back to the others at once.
        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            discarded = self._state.end_subscription(self._state.peers[peer_id], queue)
            if self._state.subscriptions.stands(queue):
                self._state.up_to_date(queue)
            self._state.check_due()
            return discarded

    def group_of(self, peer_id: str, topic: str) -> str | None:
        """The group in which a peer is subscribed to a topic; None for a queue of its own.

        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            return self._state.queue(peer_id, topic).group

    def end_group(self, topic: str, group: str, limit: int) -> Ended:
        """End the message queue of a group: up to `limit` members leave, and the queue ends with the last one.

        Called until none is left, it ends in slices; a peer that joins in between leaves, too. Raises `TopicNotFound`
        and `NotSubscribed`.
        """
        with self._lock:
            queue = self._state.subscriptions.group(self._state.topic(topic), group)
            return self._state.end_group(queue, limit)

    # Dead letters

    def dead_letters(self, topic: str) -> tuple[list[int], range]:
        """The offsets of the dead letters in a topic that are not dealt with: in flight, and new ones.

        Raises `TopicNotFound`, and `BadRequest` for a topic that has no queue for dead letters.
        """
        with self._lock:
            return self._letters(topic).unsettled()

    def redrive(
        self, topic: str, offsets: Sequence[int], to: str | None = None, peer_id: str | None = None
    ) -> Redriven:
        """Publish the messages of dead letters again, and acknowledge the letters, in one step.

        They go to the topic `to`, by default to the topics that they came from. A letter whose message cannot be
        published stays. `peer_id` is the calling peer, whose lease is renewed. A hundred take some 2 ms; those that are
        left after more than 10,000 new letters need another call.
        Raises `TopicNotFound`, `PeerNotFound`, and `BadRequest` for a topic that has no queue for dead letters.
        """
        with self._lock:
            if peer_id is not None:
                self._state.peer(peer_id)
            return self._state.redrive(self._letters(topic), offsets, to)

    def _letters(self, topic: str) -> MessageQueue:
        found = self._state.topic(topic)
        queue = self._state.subscriptions.of(found).queues.get(group_queue(GROUP))
        if queue is None:
            raise BadRequest(
                f"Topic '{topic}' is no dead-letter topic: it has no queue of group '{GROUP}' - at $.topic"
            )
        return queue

    # The calls of the server itself

    def run_due(self) -> DueResult:
        """Do one slice of the work that falls due by itself, some 2 ms, and return when the next is due.

        Scheduled messages are published, waiting pulls are answered, leases end, overdue messages are requeued or
        dead-lettered, messages that are too old are dropped, and the memory of deleted topics and freed messages is
        released.
        """
        with self._lock:
            result, answers = self._state.run_due(self._clock())
        for answer in answers:
            answer()
        return result

    def beat(self) -> float:
        """The process goes on; to be called several times a second, from the first time on.

        If it was not, the process stood still, and nobody could be heard: leases, deadlines of messages in flight, the
        times of queues without members and of message ids begin anew then. Returns for how many seconds it stood still
        since the last call.
        """
        with self._lock:
            return self._state.standstill.beat(self._clock())

    @property
    def on_due(self) -> Callable[[], None]:
        """Called under the lock when `run_due` has to be called sooner than it last returned; it must not block."""
        return self._state.on_due

    @on_due.setter
    def on_due(self, on_due: Callable[[], None]) -> None:
        with self._lock:
            self._state.on_due = on_due

    @property
    def on_push(self) -> Callable[[PushKey], None]:
        """Called by `run_due` with a push target for which there may be something to push; it must not block."""
        return self._state.on_push

    @on_push.setter
    def on_push(self, on_push: Callable[[PushKey], None]) -> None:
        with self._lock:
            self._state.on_push = on_push

    def written(self, changes: Changes) -> None:
        """Changes that the journal received are on disk: let their messages be delivered."""
        with self._lock:
            appended = {segment.topic for segment in changes.segments}
            self._state.topics.commit(topic for number in appended if (topic := changes.topics[number]))

    def locked(self, take: Callable[[], T]) -> T:
        """The result of `take`, called while nothing changes."""
        with self._lock:
            return take()

    def close(self) -> None:
        """End all waiting pulls, and let later ones answer at once. All other calls are served as before."""
        with self._lock:
            self._state.closing = True
            self._state.long_polls.end_all()
        while self._state.long_polls:
            self.run_due()
