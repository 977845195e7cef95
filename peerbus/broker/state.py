"""The broker's state, and the steps its calls are made of."""

from collections.abc import Callable
from functools import partial
from threading import Condition
from uuid import uuid4

from peerbus.broker.change_listener import ChangeListener
from peerbus.broker.context import Context, Totals
from peerbus.broker.limits import Limits
from peerbus.broker.long_polls import LongPoll, LongPolls
from peerbus.broker.maintenance import Maintenance
from peerbus.broker.memory_budget import MemoryBudget
from peerbus.broker.peers import Peer, Peers
from peerbus.broker.queue import MessageQueue
from peerbus.broker.results import Pulled, Subscribers
from peerbus.broker.structures import NEVER
from peerbus.broker.subscriptions import Subscriptions
from peerbus.broker.topic import Topic
from peerbus.broker.topics import Topics
from peerbus.errors import PeerbusError
from peerbus.future import Future

ANSWERS_AT_ONCE = 100
"""Waiting pulls answered in one go, so that nobody waits long for the lock."""


class State:
    """All that the broker's lock guards; whoever calls holds it.

    A peer that is looked up has given a sign of life; a topic or a queue that is looked up is up to date.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float], tended: Condition, journal: ChangeListener) -> None:
        """`tended` is what the call that tends waits on; it is notified when something falls due sooner."""
        self.clock = clock
        self.limits = limits
        self.journal = journal
        self.memory = MemoryBudget(limits.max_bytes)
        self.long_polls = LongPolls(limits.max_waiting, tended.notify)
        self.peers = Peers(limits.max_peers, journal)
        self.totals = Totals()
        context = Context(limits, self.memory, self.long_polls, journal, self.totals)
        self.topics = Topics(context)
        self.subscriptions = Subscriptions(context)
        self.maintenance = Maintenance(self.topics, self.long_polls)
        self.closing = False
        self.epoch = uuid4().hex
        self.began = clock()
        self._tend_by = NEVER
        """When the call that tends means to look again, if it waits."""
        self._tended = tended

    def peer(self, peer_id: str) -> Peer:
        """The peer, its lease renewed; raises `PeerNotFound`."""
        return self.peers.renewed(peer_id, self.clock())

    def topic(self, name: str) -> Topic:
        """The topic, without what is too old; raises `TopicNotFound`."""
        return self.refreshed(self.topics.get(name))

    def queue(self, peer_id: str, topic: str) -> MessageQueue:
        """The message queue of a subscription, what is overdue taken back, and the peer's lease renewed.

        Raises `PeerNotFound`, `TopicNotFound`, `NotSubscribed` and `TopicDeleted`.
        """
        peer = self.peer(peer_id)
        if topic not in peer.queues and topic not in peer.deleted_topics:
            self.topics.get(topic)
        queue = peer.queue(topic)
        self.refreshed(queue.topic)
        return self.up_to_date(queue)

    def refreshed(self, topic: Topic) -> Topic:
        """The topic without what is too old."""
        if topic.expires:
            self.maintenance.refresh(topic, self.clock())
            self.hurry()
        return topic

    def up_to_date(self, queue: MessageQueue) -> MessageQueue:
        """The queue with what is overdue taken back."""
        if queue.in_flight.deliveries:
            self.maintenance.take_back(queue, self.clock())
            self.hurry()
        return queue

    def subscribers(self, topic: Topic) -> Subscribers:
        """Who is subscribed to a topic, and where."""
        addresses = {peer_id: self.peers[peer_id].address for peer_id in topic.subscribers}
        return Subscribers(list(addresses), {peer_id: url for peer_id, url in addresses.items() if url})

    def end_subscription(self, peer: Peer, topic: str) -> int:
        """End a subscription; in a group, the others get back what the peer had.

        Returns how many messages the queue had that nobody will acknowledge now.
        """
        discarded = peer.queues[topic].unread
        self.long_polls.end(peer.queues[topic], peer)
        queue = self.subscriptions.end(peer, self.topics.get(topic), self.clock())
        if queue.members:
            self.up_to_date(queue)
            return 0
        self.maintenance.forget(queue)
        self.totals.discarded += discarded
        return discarded

    def remove_peer(self, peer: Peer) -> int:
        """Remove a peer with its subscriptions; returns how many messages are discarded with them."""
        discarded = sum(self.end_subscription(peer, topic) for topic in list(peer.queues))
        self.peers.remove(peer)
        return discarded

    def delete(self, topic: Topic) -> list[bytes | None]:
        """Delete a topic with its subscriptions; returns its messages, to be let go of without the lock."""
        self.totals.discarded += topic.unread
        for gone in dict.fromkeys(topic.subscribers.values()):
            self.maintenance.forget(gone)
            self.long_polls.end(gone)
            gone.in_flight.forget_all()
        self.maintenance.forget(topic)
        self.subscriptions.end_all(topic, [self.peers[peer_id] for peer_id in topic.subscribers])
        return self.topics.remove(topic)

    def pull(self, queue: MessageQueue, peer_id: str, max_messages: int) -> Pulled:
        """Hand over messages of `queue` to one of its members."""
        offsets, values, attempts, missed = queue.pull(peer_id, max_messages, self.clock())
        self.totals.pulled += len(values)
        self.totals.missed += missed
        if attempts:
            redelivered = sum(attempt > 1 for attempt in attempts)
            self.totals.redelivered += redelivered
            queue.topic.redelivered += redelivered
            self.maintenance.watch(queue)
            self.hurry()
        return Pulled(
            offsets=offsets,
            values=values,
            attempts=attempts if queue.options.explicit else None,
            next_offset=queue.cursor,
            position=queue.position,
            missed=missed,
            remaining=queue.remaining,
            unacknowledged=len(queue.in_flight.deliveries),
            earlier=queue.earlier,
            generation=queue.generation,
            closing=self.closing,
        )

    def pull_when_ready(
        self, queue: MessageQueue, peer_id: str, max_messages: int, wait: float, reader: int | None
    ) -> Future[Pulled]:
        """Let a pull wait up to `wait` seconds for messages of `queue`; raises `TooManyWaiting`."""
        waiter = LongPoll(self.peers[peer_id], queue, max_messages, self.clock() + wait, reader)
        self._wait(waiter)
        self.hurry()
        return waiter.answer

    def answer_waiting(self, now: float) -> list[Callable[[], None]]:
        """What brings the answers to a slice of the pulls that are to wait no longer, to be called without the lock."""
        answers: list[Callable[[], None]] = []
        while len(answers) < ANSWERS_AT_ONCE and (waiter := self.long_polls.take(now)):
            peer_id = waiter.peer.peer_id
            try:
                self.peers.check_same(waiter.peer)
                queue = self.queue(peer_id, waiter.queue.topic.name)
                queue.check_reader(waiter.reader)
                if not (queue.ready or waiter.deadline <= now or self.closing):
                    waiter.peer, waiter.queue = self.peers[peer_id], queue
                    self._wait(waiter)
                    continue
                answers.append(partial(waiter.answer.set_result, self.pull(queue, peer_id, waiter.max_messages)))
            except PeerbusError as error:
                answers.append(
                    partial(waiter.answer.set_exception, error.with_traceback(None))
                )  # or it would hold the list
            del waiter.answer  # the waiter may stay in a schedule for a while; what it got is not to
        return answers

    def wait_until_due(self, seconds: float) -> None:
        """Wait up to so many seconds for something to run_due to, less when what is due changes or the broker closes."""
        self._tend_by = min(self._next_due(), self.clock() + seconds)
        if not self.closing and (left := self._tend_by - self.clock()) > 0:
            self._tended.wait(left)
        self._tend_by = NEVER

    def run_due(self, now: float) -> dict[str, int]:
        """Do what time alone brings about by `now`.

        Returns the ids of the peers whose lease ran out, with the messages discarded.
        """
        expired = {peer.peer_id: self.remove_peer(peer) for peer in self.peers.take_expired(now)}
        self.totals.expired_peers += len(expired)
        self.maintenance.run(now)
        return expired

    def hurry(self) -> None:
        """Wake the call that tends, if something falls due before it means to look again."""
        if self._tend_by != NEVER and self._next_due() < self._tend_by:
            self._tended.notify()

    def _wait(self, waiter: LongPoll) -> None:
        self.long_polls.add(waiter)
        self.maintenance.watch(waiter.queue)

    def _next_due(self) -> float:
        """When there is something to run_due to."""
        return min(self.peers.next_expiry(), self.maintenance.next_due(), self.long_polls.next_due())
