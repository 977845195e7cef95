"""The broker's state, and the steps its calls are made of."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from peerbus.broker.change_listener import ChangeListener
from peerbus.broker.context import Context, Numbers, Totals
from peerbus.broker.limits import Limits
from peerbus.broker.long_polls import LongPoll, LongPolls
from peerbus.broker.maintenance import Maintenance
from peerbus.broker.memory_budget import MemoryBudget
from peerbus.broker.peers import Peer, Peers
from peerbus.broker.queue import MessageQueue
from peerbus.broker.results import DueResult, Ended, Pulled
from peerbus.broker.structures import NEVER, NOW
from peerbus.broker.subscriptions import Subscriptions, cost
from peerbus.broker.topic import Topic
from peerbus.broker.topics import Topics
from peerbus.broker.wall_clock import WallClock
from peerbus.errors import PeerbusError
from peerbus.future import Future

UNLIMITED = float("inf")


class Slice(NamedTuple):
    """The most that one `run_due` does of each kind of due work: 1 to 3 ms each, and seldom of more than one kind."""

    answers: int = 100
    """Waiting pulls answered."""
    overdue: int = 1000
    """Overdue messages requeued; a dead letter costs as much as several."""
    subscriptions: int = 500
    """Subscriptions ended, of peers whose lease ran out or to deleted topics; messages in flight count, too."""
    values: int = 10_000
    """Message values released, and messages handed over to waiting pulls."""


PER_SLICE = Slice()


class State:
    """Everything that the broker's lock guards; all methods expect the lock to be held.

    Looking up a peer renews its lease; looking up a topic or a queue brings it up to date.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        changes: ChangeListener,
        on_due: Callable[[], None],
        per_slice: Slice,
    ) -> None:
        """`on_due` is called when something falls due earlier than the last `run_due` returned."""
        self.clock = clock
        self.limits = limits
        self.changes = changes
        self.on_due = on_due
        due_now = partial(self._falls_due, NOW)
        self.memory = MemoryBudget(limits.max_bytes, per_slice.values, due_now)
        self.long_polls = LongPolls(limits.max_waiting, due_now)
        self.peers = Peers(limits.max_peers, changes)
        self.totals = Totals()
        self.numbers = Numbers()
        wall = WallClock(clock, wall_clock)
        context = Context(limits, self.memory, changes, self.totals, self.numbers, wall, self.long_polls.wake)
        self.topics = Topics(context)
        self.subscriptions = Subscriptions(context)
        self.maintenance = Maintenance(self.topics, self.long_polls)
        self.closing = False
        self.epoch = uuid4().hex
        self.began = clock()
        self._per_slice = per_slice
        self._next_run = NEVER
        """When `run_due` is to be called again, as far as its caller knows."""
        self._expiring: dict[Peer, int] = {}
        """Peers whose lease ran out and that still have subscriptions, with the messages discarded so far."""
        self._expired: dict[str, int] = {}
        """Peers removed because their lease ran out, for the next `run_due` to return."""

    def peer(self, peer_id: str) -> Peer:
        """The peer, its lease renewed; raises `PeerNotFound`."""
        return self.peers.renewed(peer_id, self.clock())

    def known_peer(self, peer_id: str) -> Peer | None:
        """The peer, if it is registered; one whose lease ran out is removed first."""
        peer = self.peers.find(peer_id)
        if peer is not None and peer.expired:
            self._remove_expired(peer, UNLIMITED)
            return None
        return peer

    def topic(self, name: str) -> Topic:
        """The topic, without messages that are too old; raises `TopicNotFound`."""
        topic = self.topics.get(name)
        return self.refreshed(topic) if topic.expires else topic

    def queue(self, peer_id: str, topic: str) -> MessageQueue:
        """The message queue of a subscription, up to date, and the peer's lease renewed.

        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        peer = self.peer(peer_id)
        if topic not in peer.queues and topic not in peer.deleted_topics:
            self.topics.get(topic)
        queue = self.subscriptions.get(peer, topic)
        self.refreshed(queue.topic)
        return self.up_to_date(queue)

    def refreshed(self, topic: Topic) -> Topic:
        """The topic without messages and message ids that are too old."""
        if topic.expires:
            self.maintenance.refresh(topic, self.clock())
            self.check_due()
        return topic

    def up_to_date(self, queue: MessageQueue) -> MessageQueue:
        """The queue with its overdue messages requeued, a bounded number of them."""
        if queue.in_flight:
            self.maintenance.requeue_overdue(queue, self.clock())
            self.check_due()
        return queue

    def subscribers(self, topic: Topic) -> list[str]:
        """The ids of the subscribers of a topic."""
        return list(self.subscriptions.of(topic).by_peer)

    def end_subscription(self, peer: Peer, queue: MessageQueue) -> int:
        """End a subscription; in a group, the messages that the peer has in flight are overdue.

        Returns how many messages are discarded: those unread in a queue that is closed.
        """
        discarded = 0 if queue.topic.deleted else queue.unread
        self.long_polls.end(queue, peer)
        self.subscriptions.end(peer, queue)
        if queue.members:
            self.maintenance.set_alarm(queue)
            return 0
        self.maintenance.forget(queue)
        self.totals.discarded += discarded
        return discarded

    def end_subscriptions(self, peer: Peer, limit: float = UNLIMITED) -> Ended:
        """End subscriptions of a peer at a `cost` of `limit` together; the peer is removed with the last one."""
        discarded = 0
        while peer.queues and limit > 0:
            _, queue = peer.queues.popitem()
            limit -= cost(queue)
            discarded += self.end_subscription(peer, queue)
        if not peer.queues:
            self.peers.remove(peer)
        self.check_due()
        return Ended(discarded, len(peer.queues))

    def delete(self, topic: Topic) -> None:
        """Delete a topic with its subscriptions and messages: gone at once, though the work is done in slices."""
        self.totals.discarded += topic.unread
        self.maintenance.forget(topic)
        self.long_polls.end_topic(topic)
        self.topics.remove(topic)
        self.subscriptions.topic_deleted(topic)
        self._end_deleted()
        self.check_due()

    def pull(self, queue: MessageQueue, peer_id: str, max_messages: int, *, details: bool) -> Pulled:
        """Hand over messages of `queue` to one of its members."""
        offsets, values, attempts, missed, told = queue.pull(peer_id, max_messages, self.clock(), details=details)
        self.totals.pulled += len(values)
        self.totals.missed += missed
        if attempts:
            redelivered = len(attempts) - attempts.count(1)
            self.totals.redelivered += redelivered
            queue.topic.redelivered += redelivered
            self.maintenance.set_alarm(queue)
            self.check_due()
        return Pulled(
            offsets=offsets,
            values=values,
            attempts=attempts if queue.options.explicit else None,
            next_offset=queue.cursor,
            position=queue.position,
            missed=missed,
            remaining=queue.remaining,
            unacknowledged=len(queue.in_flight),
            earlier=queue.earlier,
            generation=queue.generation,
            details=told,
            closing=self.closing,
        )

    def pull_when_ready(
        self,
        queue: MessageQueue,
        peer_id: str,
        max_messages: int,
        wait: float,
        reader_token: int | None,
        *,
        details: bool,
    ) -> Future[Pulled]:
        """Let a pull wait up to `wait` seconds for messages of `queue`; raises `TooManyWaiting`."""
        deadline = self.clock() + wait
        waiter = LongPoll(self.peers[peer_id], queue, max_messages, deadline, reader_token, details=details)
        self._wait(waiter)
        self.check_due()
        return waiter.answer

    def run_due(self, now: float) -> tuple[DueResult, list[Callable[[], None]]]:
        """Do one slice of the work due by `now`.

        Returns the result, and the functions that set the answers of waiting pulls, to be called without the lock.
        """
        self._expire_peers(now)
        self._end_deleted()
        self.maintenance.run(now, self._per_slice.overdue)
        self.memory.release()
        answers = self._answer_waiting(now)
        expired, self._expired = self._expired, {}
        self._next_run = self._next_due()
        return DueResult(expired, max(0.0, self._next_run - now)), answers

    def check_due(self) -> None:
        """Call `on_due` if something falls due earlier than the caller of `run_due` knows."""
        self._falls_due(self._next_due())

    def _falls_due(self, due: float) -> None:
        if due < self._next_run:
            self._next_run = due
            self.on_due()

    def _next_due(self) -> float:
        if self._expiring or self._expired or self.subscriptions.deleted_left or self.memory.unreleased:
            return NOW
        return min(self.peers.next_expiry(), self.maintenance.next_due(), self.long_polls.next_due())

    def _expire_peers(self, now: float) -> None:
        limit = self._per_slice.subscriptions
        self._expiring |= dict.fromkeys(self.peers.take_expired(now, limit), 0)
        while self._expiring and limit > 0:
            limit -= self._remove_expired(next(iter(self._expiring)), limit)

    def _remove_expired(self, peer: Peer, limit: float) -> int:
        """End subscriptions of an expired peer at a cost of `limit`; returns how many, and 1 for the peer."""
        before = len(peer.queues)
        ended = self.end_subscriptions(peer, limit)
        self._expiring[peer] += ended.discarded
        if not ended.left:
            self._expired[peer.peer_id] = self._expiring.pop(peer)
            self.totals.expired_peers += 1
        return 1 + before - ended.left

    def _end_deleted(self) -> None:
        for queue in self.subscriptions.end_deleted(self.peers, self._per_slice.subscriptions):
            self.maintenance.forget(queue)

    def _answer_waiting(self, now: float) -> list[Callable[[], None]]:
        answers: list[Callable[[], None]] = []
        left = self._per_slice.values
        while len(answers) < self._per_slice.answers and left > 0 and (waiter := self.long_polls.take(now)):
            peer_id = waiter.peer.peer_id
            try:
                self.peers.check_same(waiter.peer)
                queue = self.queue(peer_id, waiter.queue.topic.name)
                queue.check_reader(waiter.reader_token)
                if not (queue.ready or waiter.deadline <= now or self.closing):
                    waiter.peer, waiter.queue = self.peers[peer_id], queue
                    self._wait(waiter)
                    continue
                pulled = self.pull(queue, peer_id, waiter.max_messages, details=waiter.details)
                left -= len(pulled.values)
                answers.append(partial(waiter.answer.set_result, pulled))
            except PeerbusError as error:
                # Without its traceback, which would hold the list of answers.
                answers.append(partial(waiter.answer.set_exception, error.with_traceback(None)))
            del waiter.answer  # the waiter may stay in a schedule for a while, but not its answer
        return answers

    def _wait(self, waiter: LongPoll) -> None:
        self.long_polls.add(waiter)
        self.maintenance.set_alarm(waiter.queue)
