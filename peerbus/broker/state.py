"""The broker's state, and the steps its calls are made of."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple
from uuid import uuid4

from peerbus.broker.change_listener import ChangeListener
from peerbus.broker.context import Context, Numbers, Totals
from peerbus.broker.dead_letters import redrive
from peerbus.broker.dedup import DedupWindow
from peerbus.broker.expiry import Expiry
from peerbus.broker.limits import Limits
from peerbus.broker.log import size_of
from peerbus.broker.long_polls import LongPolls
from peerbus.broker.maintenance import Maintenance
from peerbus.broker.memory_budget import MemoryBudget
from peerbus.broker.peers import Peer, Peers
from peerbus.broker.push_target import PushKey
from peerbus.broker.queue import MessageQueue
from peerbus.broker.results import DueResult, Ended, ExpiredQueue, Pulled, Redriven
from peerbus.broker.scheduling import Scheduling
from peerbus.broker.structures import NEVER, NOW, last_item
from peerbus.broker.subscriptions import Named, Subscriptions, cost
from peerbus.broker.topic import From, Topic
from peerbus.broker.topics import Topics
from peerbus.broker.waiters import IdleTarget, LongPoll, Waiter
from peerbus.broker.wall_clock import WallClock
from peerbus.errors import UNKEPT, MemoryFull, NotSubscribed, PeerbusError, TopicDeleted, TopicFull
from peerbus.future import Future
from peerbus.standstill import Standstill
from peerbus.wire.words import duration

UNLIMITED = float("inf")


class Slice(NamedTuple):
    """The most that one `run_due` does of each kind of due work: 1 to 3 ms each, and seldom of more than one kind."""

    answers: int = 100
    """Waiting pulls answered."""
    overdue: int = 1000
    """Overdue messages requeued; a dead letter costs as much as several."""
    subscriptions: int = 500
    """Subscriptions that a peer leaves or that end, with their topic or because they expire; messages count, too."""
    scheduled: int = 500
    """Scheduled messages published; a batch counts as one more for every 100 of its messages."""
    values: int = 10_000
    """Message values released, and messages handed over to waiting pulls."""


PER_SLICE = Slice()


class State:
    """Everything that the broker's lock guards; all methods expect the lock to be held.

    Looking up a peer renews its lease and brings it back; looking up a topic or a queue brings it up to date.
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
        self.standstill = Standstill()
        self.peers = Peers(limits.max_peers, changes, self.standstill, self._came_back)
        self.on_push: Callable[[PushKey], None] = lambda _: None
        """Called without the lock when there may be something to push."""
        self.totals = Totals()
        self.numbers = Numbers()
        self.wall_clock = WallClock(clock, wall_clock)
        context = Context(
            limits,
            self.memory,
            changes,
            self.totals,
            self.numbers,
            self.wall_clock,
            self.standstill,
            DedupWindow(limits.message_ids, limits.message_id_seconds, self.memory, self.standstill),
            self.long_polls.wake,
        )
        self.topics = Topics(context)
        self.subscriptions = Subscriptions(context)
        self.expiry = Expiry(self.peers, self.standstill)
        self.maintenance = Maintenance(self.topics, self.subscriptions, self.long_polls)
        self.scheduling = Scheduling(context, self.maintenance.refresh)
        self.closing = False
        self.epoch = uuid4().hex
        self.began = clock()
        self._per_slice = per_slice
        self._next_run = NEVER
        """When `run_due` is to be called again, as far as its caller knows."""
        self._departing: dict[Peer, int] = {}
        """Peers whose lease ran out and that have queues to leave, with the messages discarded so far."""
        self._back: dict[Peer, list[MessageQueue]] = {}
        """Peers that came back, with queues that may have something for them that waits."""

    def peer(self, peer_id: str) -> Peer:
        """The peer, its lease renewed; raises `PeerNotFound`."""
        return self._renewed(peer_id, self.clock())

    def topic(self, name: str) -> Topic:
        """The topic, without messages that are too old; raises `TopicNotFound`."""
        topic = self.topics.get(name)
        return self.refreshed(topic) if topic.expires else topic

    def queue(self, peer_id: str, topic: str) -> MessageQueue:
        """The message queue of a subscription, up to date, and the peer's lease renewed.

        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed`, and `TopicDeleted` the first time after a deletion.
        """
        now = self.clock()
        peer = self._renewed(peer_id, now)
        queue = self.subscriptions.find(peer, topic)
        if queue is None:
            raise self._no_queue(peer, topic)
        queue.used_at = now
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
        """The ids of the subscribers of a topic that are there."""
        return self.peers.present(self.subscriptions.of(topic).by_peer)

    def subscribe(
        self, peer: Peer, topic: Topic, start: From | None, group: str | None, named: Named
    ) -> tuple[MessageQueue, bool, bool]:
        """The message queue of a peer on a topic, with the options that are named.

        Returns it, whether the subscription is new, and whether the queue is. Raises the errors of
        `Subscriptions.change` and `Subscriptions.join`.
        """
        now = self.clock()
        queue = self.subscriptions.find(peer, topic.name)
        if queue is not None:
            target = queue.members[peer.peer_id]
            self.subscriptions.change(peer, queue, group, named)
            if queue.members[peer.peer_id] is not target:
                self.long_polls.end(queue, [peer])
            created = is_new = False
        else:
            before = peer.queues.get(topic.name)  # of a deleted topic
            begin = "latest" if start is None else start
            queue, is_new = self.subscriptions.join(peer, topic, begin, group, named, now)
            created = True
            peer.forget_deleted(topic.name)
            if before:
                self.end_subscription(peer, before)
        queue.used_at = now
        self.wait_for_push(queue, peer.peer_id)
        self.maintenance.set_alarm(queue)
        self.long_polls.wake_queue(queue)
        self.check_due()
        return queue, created, is_new

    def wait_for_push(self, queue: MessageQueue, peer_id: str) -> None:
        """Let the push target of a member wait for messages, if it has one."""
        target = queue.members.get(peer_id)
        if target and not target.waits:
            target.waits = True
            self._wait(IdleTarget(self.peers[peer_id], queue, target))
            self.check_due()

    def seek(self, queue: MessageQueue, offset: int) -> int:
        """Let a queue continue at an offset, and return it."""
        queue.seek(offset)
        self.maintenance.set_alarm(queue)
        self.long_polls.wake_queue(queue)
        return queue.cursor

    def end_subscription(self, peer: Peer, queue: MessageQueue) -> int:
        """End a subscription: a peer's own queue ends with it, a group's stands, for a time if it was the last one.

        Returns how many messages are discarded: those unread in a queue that ends.
        """
        self.long_polls.end(queue, (peer,))
        self.subscriptions.leave(peer, queue, self.clock())
        self.maintenance.set_alarm(queue)
        if queue.members:
            return 0
        if queue.group is None or queue.topic.deleted or not queue.expires_after:
            return self.close(queue)
        self.expiry.watch(queue)
        return 0

    def close(self, queue: MessageQueue) -> int:
        """End a message queue without members; returns how many messages are discarded."""
        discarded = 0 if queue.topic.deleted else queue.unread
        queue.count_missed()
        self.subscriptions.close(queue)
        self.maintenance.forget(queue)
        self.expiry.forget(queue)
        self.totals.discarded += discarded
        queue.topic.discarded += discarded
        return discarded

    def end_group(self, queue: MessageQueue, limit: int) -> Ended:
        """Let up to `limit` members leave a group, whose queue ends with the last one."""
        now = self.clock()
        leaving = [self.peers[member] for member in islice(queue.members, limit)]
        self.long_polls.end(queue, set(leaving))
        for peer in leaving:
            self.subscriptions.leave(peer, queue, now)
        discarded = 0 if queue.members else self.close(queue)
        self.check_due()
        return Ended(discarded, len(queue.members))

    def end_subscriptions(self, peer: Peer, limit: float = UNLIMITED) -> Ended:
        """End subscriptions of a peer at a `cost` of `limit` together; the peer is removed with the last one."""
        discarded = 0
        peer.queues |= peer.leaving
        peer.leaving = {}
        while peer.queues and limit > 0:
            _, queue = peer.queues.popitem()
            limit -= cost(queue)
            discarded += self.end_subscription(peer, queue)
        if not peer.queues:
            self._departing.pop(peer, None)
            self.peers.remove(peer)
        self.check_due()
        return Ended(discarded, len(peer.queues))

    def leave(self, peer: Peer, limit: float) -> Ended:
        """Let an away peer leave queues, at a `cost` of `limit` together: its own stand without it, for a time."""
        discarded = 0
        while peer.leaving and limit > 0:
            topic, queue = peer.leaving.popitem()
            limit -= cost(queue)
            if queue.topic.deleted:
                peer.queues[topic] = queue
            elif queue.group is None and queue.expires_after:
                peer.queues[topic] = queue
                self.long_polls.end(queue)
                queue.in_flight.depart(peer.peer_id)
                self.maintenance.set_alarm(queue)
                self.expiry.watch(queue)
            else:
                discarded += self.end_subscription(peer, queue)
        self.forget(peer)
        self.check_due()
        return Ended(discarded, len(peer.leaving))

    def publish(self, topic: Topic, values: Sequence[bytes], size: int, publisher: str | None, beside: int = 0) -> int:
        """Append messages to a topic that is up to date, and return the offset of the first.

        As many bytes as are needed `beside` them are reserved, too.
        Raises `TopicFull`, `TooLarge`, `MemoryFull` and one of `UNKEPT`.
        """
        try:
            offset = topic.append(values, size, self.clock(), publisher, beside)
        except (TopicFull, MemoryFull, *UNKEPT) as error:
            raise self.refused(topic, error) from None
        self.totals.published += len(values)
        return offset

    def redrive(self, queue: MessageQueue, offsets: Sequence[int], to: str | None) -> Redriven:
        """Publish dead letters again; see `dead_letters.redrive`."""

        def publish(name: str, value: bytes, publisher: str | None) -> None:
            target = self.topic(name)
            self.publish(target, [value], size_of([value]), publisher)
            self.refreshed(target)

        return redrive(queue, offsets, to, publish)

    def refused(self, topic: Topic, error: PeerbusError) -> PeerbusError:
        """Count a publish that found no room; returns its error, with the message queue that is furthest behind."""
        topic.refused += 1
        self.totals.refused += 1
        is_full = isinstance(error, TopicFull)
        queue = self.subscriptions.of(topic).furthest_behind(topic.end - topic.unread) if is_full else None
        if queue is None:
            return error
        idle = duration(self.clock() - queue.used_at)
        return TopicFull(f"{error} The message queue '{queue.name}' is furthest behind, and was last used {idle} ago.")

    def delete(self, topic: Topic) -> None:
        """Delete a topic with its subscriptions and messages: gone at once, though the work is done in slices."""
        self.totals.discarded += topic.unread + topic.scheduled
        self.maintenance.forget(topic)
        self.scheduling.forget(topic)
        self.long_polls.end_topic(topic)
        self.topics.remove(topic)
        self.subscriptions.topic_deleted(topic)
        self._end_deleted()
        self.check_due()

    def pull(
        self, queue: MessageQueue, peer_id: str, max_messages: int, in_flight: int | None = None, *, details: bool
    ) -> Pulled:
        """Hand over messages of `queue` to one of its members, which may have `in_flight` of them at most."""
        count = queue.allowed(peer_id, max_messages, in_flight)
        offsets, values, attempts, missed, told = queue.pull(peer_id, count, self.clock(), details=details)
        self.totals.pulled += len(values)
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
            queue=queue.name,
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
        in_flight: int | None,
        *,
        details: bool,
    ) -> Future[Pulled]:
        """Let a pull wait up to `wait` seconds for messages of `queue`; raises `TooManyWaiting`."""
        deadline = self.clock() + wait
        waiter = LongPoll(self.peers[peer_id], queue, max_messages, deadline, reader_token, in_flight, details=details)
        self._wait(waiter)
        self.check_due()
        return waiter.answer

    def run_due(self, now: float) -> tuple[DueResult, list[Callable[[], None]]]:
        """Do one slice of the work due by `now`.

        Returns the result, and the functions that set the answers of waiting pulls, to be called without the lock.
        """
        self.scheduling.run(now, self._per_slice.scheduled)
        expired = self._expire_peers(now)
        ended = self._end_expired(now)
        self._end_deleted()
        self._wake_queues()
        self.maintenance.run(now, self._per_slice.overdue)
        self.memory.release()
        answers = self._answer_waiting(now)
        self._next_run = self._next_due()
        return DueResult(expired, ended, max(0.0, self._next_run - now)), answers

    def check_due(self) -> None:
        """Call `on_due` if something falls due earlier than the caller of `run_due` knows."""
        self._falls_due(self._next_due())

    def _falls_due(self, due: float) -> None:
        if due < self._next_run:
            self._next_run = due
            self.on_due()

    def _renewed(self, peer_id: str, now: float) -> Peer:
        """The peer, its lease renewed by this sign of life; one that was away is back. Raises `PeerNotFound`."""
        peer = self.peers.get(peer_id)
        if peer.away_since is not None:
            self.peers.renew(peer, now)
            self.check_due()
        elif peer.lease_seconds is not None:
            self.peers.renew(peer, now)
        return peer

    def _next_due(self) -> float:
        if self._departing or self._back or self.subscriptions.deleted or self.memory.unreleased:
            return NOW
        return min(
            self.peers.next_expiry(),
            self.expiry.next_due(),
            self.maintenance.next_due(),
            self.scheduling.next_due(),
            self.long_polls.next_due(),
        )

    def _expire_peers(self, now: float) -> dict[str, int]:
        """Let peers go away whose lease ran out; returns those that have left, with the messages discarded."""
        limit = self._per_slice.subscriptions
        for peer in self.peers.take_expired(now, limit):
            if peer.away_since is None:
                self.peers.go_away(peer, now)
                self._departing[peer] = 0
                self.totals.expired_peers += 1
            else:
                peer.deleted_topics.clear()
                self.forget(peer)
        expired = {}
        while self._departing and limit > 0:
            peer = next(iter(self._departing))
            before = len(peer.leaving)
            ended = self.leave(peer, limit)
            limit -= 1 + before - ended.left
            self._departing[peer] += ended.discarded
            if not ended.left:
                expired[peer.peer_id] = self._departing.pop(peer)
        return expired

    def _end_expired(self, now: float) -> list[ExpiredQueue]:
        """End message queues without members whose time has passed."""
        ended = []
        limit = self._per_slice.subscriptions
        while limit > 0 and self.expiry.next_due() <= now:
            limit -= 1
            queue = self.expiry.take(now)
            if queue is None or queue.topic.deleted:
                continue
            limit -= cost(queue)
            peers = [self.peers[member] for member in queue.members]
            for peer in peers:
                self.subscriptions.leave(peer, queue, now)
            ended.append(ExpiredQueue(queue.topic.name, queue.name, self.close(queue), queue.expires_after))
            for peer in peers:
                self.forget(peer)
            self.totals.expired_queues += 1
        return ended

    def forget(self, peer: Peer) -> None:
        """Remove an away peer that has nothing to come back to; one that is to be told of a deletion later."""
        if peer.away_since is None or peer.queues or peer.leaving:
            return
        if peer.deleted_topics:
            self.peers.remember(peer, self.clock())
        else:
            self.peers.remove(peer)

    def _end_deleted(self) -> None:
        """Close message queues of deleted topics; the next pull of each member answers 410."""
        limit = self._per_slice.subscriptions
        while limit > 0 and (topic := self.subscriptions.deleted):
            subscribers = self.subscriptions.of(topic)
            peer = None
            if subscribers.by_peer:
                peer_id, queue = last_item(subscribers.by_peer)
                peer = self.peers[peer_id]
            else:
                _, queue = last_item(subscribers.queues)
            limit -= cost(queue)
            if peer:
                self.subscriptions.leave(peer, queue, self.clock())
                peer.topic_deleted(topic.name)
                self.forget(peer)
            if not queue.members:
                self.close(queue)

    def _no_queue(self, peer: Peer, topic: str) -> PeerbusError:
        """The error for a peer without a message queue on a topic; a deletion is reported once."""
        if self._forget_deleted(peer, topic):
            return TopicDeleted(
                f"Topic '{topic}' was deleted, with the subscription of peer '{peer.peer_id}' to it. "
                "If it is created again, subscribe again."
            )
        self.topics.get(topic)
        return NotSubscribed(f"Peer '{peer.peer_id}' is not subscribed to topic '{topic}'. POST /subscribe first.")

    def _forget_deleted(self, peer: Peer, topic: str) -> bool:
        """Clear the 410 that a call about `topic` is to answer, if any; returns whether there was one."""
        queue = peer.queues.get(topic)
        if queue is None or not queue.topic.deleted:
            return peer.forget_deleted(topic)
        self.end_subscription(peer, queue)
        return True

    def _answer_waiting(self, now: float) -> list[Callable[[], None]]:
        answers: list[Callable[[], None]] = []
        left = self._per_slice.values
        waiters = self.long_polls.take(now)
        while len(answers) < self._per_slice.answers and left > 0 and (waiter := next(waiters, None)):
            if isinstance(waiter, IdleTarget):
                waiter.target.waits = False
                answers.append(partial(self.on_push, waiter.key))
                continue
            peer_id = waiter.peer.peer_id
            try:
                self.peers.check_same(waiter.peer, waiter.token_hash)
                queue = self.queue(peer_id, waiter.queue.topic.name)
                queue.check_reader(waiter.reader_token)
                waiter.peer, waiter.queue = self.peers[peer_id], queue
                if not (waiter.is_ready or waiter.deadline <= now or self.closing):
                    self._wait(waiter)
                    continue
                pulled = self.pull(queue, peer_id, waiter.max_messages, waiter.in_flight, details=waiter.details)
                left -= len(pulled.values)
                answers.append(partial(waiter.answer.set_result, pulled))
            except PeerbusError as error:
                # Without its traceback, which would hold the list of answers.
                answers.append(partial(waiter.answer.set_exception, error.with_traceback(None)))
            del waiter.answer  # the waiter may stay in a schedule for a while, but not its answer
        return answers

    def _came_back(self, peer: Peer) -> None:
        """Let the push targets of a peer that was away wait for messages again, from the next `run_due` on."""
        self._back[peer] = list(peer.queues.values())
        self._falls_due(NOW)

    def _wake_queues(self) -> None:
        limit = self._per_slice.subscriptions
        while limit > 0 and self._back:
            peer, queues = last_item(self._back)
            if not queues or peer.away_since is not None:
                del self._back[peer]
                continue
            queue = queues.pop()
            limit -= 1
            if peer.queues.get(queue.topic.name) is queue and not queue.topic.deleted:
                self.wait_for_push(queue, peer.peer_id)
                self.long_polls.wake_queue(queue)

    def _wait(self, waiter: Waiter) -> None:
        self.long_polls.add(waiter)
        self.maintenance.set_alarm(waiter.queue)
