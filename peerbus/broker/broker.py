"""The broker: peers, topics and message queues behind one lock."""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Condition, Lock
from typing import TypeVar

from msgspec import UNSET, UnsetType

from peerbus.broker.change_listener import ChangeListener
from peerbus.broker.in_flight import Claim
from peerbus.broker.limits import Limits
from peerbus.broker.log import size_of
from peerbus.broker.overview import Overview
from peerbus.broker.records import Changes, Contents
from peerbus.broker.restore import restore
from peerbus.broker.results import Deleted, Published, Pulled, Registered, Settled, Subscribed
from peerbus.broker.state import State
from peerbus.broker.topic import From, Overflow
from peerbus.errors import BadRequest, MemoryFull, StorageFull, TopicFull
from peerbus.future import Future

T = TypeVar("T")


class Broker(Overview):
    """What changes the state, beside what can be looked at. Message values are opaque bytes.

    Every public method is one atomic step: it takes the lock once, and what it returns is the caller's own. Only `run_due`
    blocks, and only when told to wait.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_topic_deleted: Callable[[str, Mapping[str, str]], None] | None = None,
        journal: ChangeListener | None = None,
        contents: Contents | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin empty, with a new epoch, or with `contents`. `journal` is told of all that changes.

        `clock` gives the time in seconds for leases and windows; the times in `contents` are those of `wall_clock`,
        which goes on while no broker runs. `on_topic_deleted` is told a deleted topic and the addresses of its
        subscribers by peer id, outside the lock; it must not block.
        """
        lock = Lock()
        super().__init__(State(limits or Limits(), clock, Condition(lock), journal or ChangeListener()), lock)
        self._clock = clock
        self._on_topic_deleted = on_topic_deleted
        if contents is not None:
            restore(self._state, contents, wall_clock())

    # Peers

    def register_peer(
        self,
        peer_id: str,
        address: str | UnsetType | None = UNSET,
        lease_seconds: float | UnsetType | None = UNSET,
        token_hash: bytes | None = None,
    ) -> Registered:
        """Register a peer or renew its lease; keeps the address and the lease of a known peer where not named.

        A `token_hash` is kept, and known peers that have one are renewed by that one alone, or by none. Raises
        `Forbidden` for another, `TooManyPeers` and `StorageFull`.
        """
        with self._lock:
            known = self._state.peers.find(peer_id)
            peer = known or self._state.peers.register(peer_id)
            token_is_new = peer.update(address, lease_seconds, token_hash)
            self._state.peers.renew(peer, self._clock())
            self._state.hurry()
            return Registered(known is None, self._state.epoch, token_is_new)

    def unregister_peer(self, peer_id: str) -> int:
        """Remove a peer with its subscriptions; its waiting pulls end.

        Returns how many messages nobody will have acknowledged. Raises `PeerNotFound`.
        """
        with self._lock:
            return self._state.remove_peer(self._state.peer(peer_id))

    # Topics

    def create_topic(
        self,
        topic: str,
        max_messages: int | None = None,
        overflow: Overflow | None = None,
        max_age: float | None = None,
        creator: str | None = None,
    ) -> bool:
        """Create a topic and say whether it is new; an existing one is left as it is.

        `creator` is the peer that does it, of which this is a sign of life.

        Raises `TopicExists` when it exists with other options than the ones named, `PeerNotFound` for the creator,
        `TooManyTopics`, `StorageFull`, and `BadRequest` for an option beyond the server's own limit.
        """
        with self._lock:
            if creator is not None:
                self._state.peer(creator)
            return self._state.topics.create(topic, max_messages, overflow, max_age, creator)

    def delete_topic(self, topic: str) -> Deleted:
        """Delete a topic with its messages and subscriptions; pulls waiting for it end at once.

        Raises `TopicNotFound`.
        """
        with self._lock:
            deleted = self._state.topic(topic)
            result = Deleted(self._state.subscribers(deleted).addresses, deleted.unread)
            messages = self._state.delete(deleted)
        del messages  # a million take longer to be freed than others should wait
        if self._on_topic_deleted:
            self._on_topic_deleted(topic, result.addresses)
        return result

    # Messages

    def publish(
        self, topic: str, values: Sequence[bytes], peer_id: str | None = None, message_id: str | None = None
    ) -> Published:
        """Append all of `values` to a topic, or none, and wake the pulls waiting for them.

        A `message_id` that the topic remembers publishes nothing and answers with the offset and count it had.
        Raises `TopicNotFound`, `PeerNotFound`, `TopicFull`, `TooLarge`, `MemoryFull` and `StorageFull`.
        """
        size = size_of(values)
        with self._lock:
            found = self._state.topic(topic)
            if peer_id is not None:
                self._state.peer(peer_id)
            if message_id is not None:
                seen = found.message_ids.find(message_id)
                if seen is not None:
                    return Published(*seen, duplicate=True)
            try:
                offset = found.append(values, size, self._clock())
            except (TopicFull, MemoryFull, StorageFull):
                found.refused += 1
                self._state.totals.refused += 1
                raise
            if message_id is not None:
                found.remember(message_id, offset, len(values), self._clock())
            self._state.refreshed(found)
            self._state.totals.published += len(values)
            return Published(offset, len(values), duplicate=False)

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
    ) -> Subscribed:
        """Give a peer a message queue on a topic, beginning at `start`: by default with the next message.

        With a `group` it is the group's, and `start` counts for its first member only. A subscription that
        exists keeps its position, unless `start` is named, which moves it there, and its `QueueOptions`, unless
        they are named. An offset that is freed already counts as missed; one not yet given means the next
        message. Raises `PeerNotFound`, `TopicNotFound`, `SubscriptionExists`, `TooManySubscriptions`, `StorageFull`,
        and `BadRequest` for options that contradict each other.
        """
        if dead_letter_topic == topic:
            raise BadRequest("Expected another topic than the subscription's own - at $.dead_letter_topic")
        options = {
            "explicit": explicit,
            "ack_deadline": ack_deadline,
            "max_attempts": max_attempts,
            "dead_letter_topic": dead_letter_topic,
        }
        named = {name: value for name, value in options.items() if value is not None}
        with self._lock:
            peer = self._state.peer(peer_id)
            created = self._state.subscriptions.begin(peer, self._state.topic(topic), start, group, named)
            queue = peer.queues[topic]
            self._state.maintenance.watch(queue)
            self._state.long_polls.stir_queue(queue)
            self._state.hurry()
            return Subscribed(created, queue.cursor, len(queue.members))

    def unsubscribe(self, peer_id: str, topic: str) -> int:
        """End a subscription and return how many messages nobody will have acknowledged; its waiting pulls end.

        In a group, what the peer has not acknowledged goes back to the others at once.
        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            self._state.queue(peer_id, topic)
            return self._state.end_subscription(self._state.peers[peer_id], topic)

    def pull(self, peer_id: str, topic: str, max_messages: int = 1000) -> Pulled:
        """Take up to `max_messages` from the peer's message queue.

        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            return self._state.pull(self._state.queue(peer_id, topic), peer_id, max_messages)

    def pull_waiting(
        self, peer_id: str, topic: str, max_messages: int, wait: float, reader: int | None = None
    ) -> Pulled | Future[Pulled]:
        """Like `pull`, but where there is nothing yet, `run_due` brings the answer: within `wait` seconds, or empty.

        Taking is one step with finding; of several that wait for one queue, the first is served first. The peer's
        lease stands while it waits. What ends the subscription ends the waiting, with the error `pull` would raise.
        Raises those, `TooManyWaiting`, `BadRequest` when `wait` is over the limit, and for a `reader` that `resume`
        named, `StreamReplaced` once there is a later one, also while it waits.
        """
        if wait > (limit := self._state.limits.max_wait):
            raise BadRequest(f"Expected seconds <= {limit:g} - at $.wait")
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            queue.check_reader(reader)
            if queue.ready or self._state.closing:
                return self._state.pull(queue, peer_id, max_messages)
            return self._state.pull_when_ready(queue, peer_id, max_messages, wait, reader)

    def acknowledge(self, peer_id: str, topic: str, claims: Sequence[Claim] | int) -> Settled:
        """Settle for good the messages claimed, or all in the peer's hands up to the offset given.

        A claim on a message that was settled, or handed over again since, is stale and changes nothing.
        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            count, stale = queue.acknowledge(peer_id, claims)
            self._state.totals.acknowledged += count
            self._state.long_polls.stir_queue(queue)
            return Settled(count, stale, queue.position, queue.options.explicit)

    def reject(self, peer_id: str, topic: str, claims: Sequence[Claim] | int, delay: float = 0.0) -> Settled:
        """Let the messages claimed be handed over again in `delay` seconds, if not acknowledged until then.

        Where pulling acknowledges, those pulled last may be claimed, to be handed over again at once. Claims and
        errors are those of `acknowledge`.
        """
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            count, stale = queue.reject(peer_id, claims, self._clock() + delay)
            if stale and not delay and not queue.options.explicit and queue.return_last(stale):
                count, stale = count + len(stale), []
            self._state.up_to_date(queue)
            self._state.long_polls.stir_queue(queue)
            return Settled(count, stale, queue.position, queue.options.explicit)

    def give_back(
        self,
        peer_id: str,
        topic: str,
        generation: int,
        offsets: Sequence[int],
        attempts: Sequence[int] | None,
        missed: int,
    ) -> None:
        """Take back what a pull handed over, as it answered: it did not arrive, and comes again.

        Where messages are acknowledged by being pulled and others of the group pulled since, it counts as missed.
        Nothing is taken back where the subscription ended since, or was moved. This is no sign of life.
        """
        with self._lock:
            peer = self._state.peers.find(peer_id)
            queue = peer.queues.get(topic) if peer else None
            if queue is None or queue.generation != generation:
                return
            if attempts is None:
                queue.give_back(offsets, missed)
            else:
                queue.give_back((), missed)
                queue.reject(peer_id, zip(offsets, attempts, strict=True), self._clock())
                self._state.up_to_date(queue)
            self._state.long_polls.stir_queue(queue)

    def resume(self, peer_id: str, topic: str, offset: int | None) -> int:
        """Begin to follow the peer's message queue, and return the number of its reader for `pull_waiting`.

        One that comes back names the `offset` to go on at: the peer's own queue goes back there, where it is further on
        and acknowledges by pulling, and its earlier readers get nothing more. A group's stays where it is, and what is
        to be acknowledged comes again by itself.
        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        with self._lock:
            queue = self._state.queue(peer_id, topic)
            if offset is not None and queue.group is None and not queue.options.explicit:
                queue.reader += 1
                if offset < queue.cursor:
                    queue.go_back(offset)
                self._state.long_polls.end(queue)
            return queue.reader

    # What the server itself calls

    def run_due(self, wait: float = 0.0) -> dict[str, int]:
        """Do what nobody calls for, and return the ids of the peers removed because their lease ran out.

        With each comes how many messages nobody will have acknowledged because of that. Waiting pulls are answered,
        exhausted messages are buried and messages that are too old dropped. Waits up to `wait` seconds for something
        to do, less when what is due changes or the broker closes.
        """
        with self._lock:
            self._state.wait_until_due(wait)
            now = self._clock()
            expired = self._state.run_due(now)
            answers = self._state.answer_waiting(now)
        for answer in answers:
            answer()
        return expired

    def written(self, changes: Changes) -> None:
        """Changes that the journal was told of are on disk: let their messages be delivered."""
        with self._lock:
            self._state.topics.commit({number: topic.end for number, topic in changes.topics.items() if topic})

    def locked(self, take: Callable[[], T]) -> T:
        """What `take` returns, called while nothing changes."""
        with self._lock:
            return take()

    def close(self) -> None:
        """End all waiting, now and from now on: a pull answers with what there is. All else goes on."""
        with self._lock:
            self._state.closing = True
            self._state.long_polls.end_all()
        while self._state.long_polls:
            self.run_due()
