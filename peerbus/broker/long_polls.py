"""Pulls and push targets that wait for messages."""

from collections.abc import Callable, Collection, Iterable, Iterator

from peerbus.broker.peers import Peer
from peerbus.broker.queue import MessageQueue
from peerbus.broker.structures import NEVER, NOW, Schedule
from peerbus.broker.topic import Topic
from peerbus.broker.waiters import Waiter, Waiters
from peerbus.errors import TooManyWaiting


class LongPolls:
    """The waiting pulls and push targets of each queue, and those that can be answered.

    A push target has no deadline. It does not count as a waiting pull, and does not keep its peer alive.
    Adding and removing cost the logarithm of their number; waking those of a topic or a queue is constant time.
    """

    __slots__ = ("_deadlines", "_limit", "_of", "_on_due", "_over", "_over_topics", "_woken_queues", "_woken_topics")

    def __init__(self, limit: int, on_due: Callable[[], None]) -> None:
        """At most `limit` may wait; `on_due` is called when there may be one to answer."""
        self._limit = limit
        self._on_due = on_due
        self._of: dict[Topic, dict[MessageQueue, Waiters]] = {}
        self._deadlines: Schedule[Waiter] = Schedule()
        self._woken_topics: dict[Topic, None] = {}
        self._woken_queues: dict[MessageQueue, None] = {}
        self._over_topics: dict[Topic, None] = {}
        self._over: dict[Waiter, None] = {}

    def __len__(self) -> int:
        return len(self._deadlines)

    def add(self, waiter: Waiter) -> None:
        """Let a pull or a push target wait; raises `TooManyWaiting` for one pull too many.

        Pulls that are about to end, such as that of a stream that this one replaces, do not count.
        """
        if waiter.deadline != NEVER and len(self) - len(self._over) >= self._limit:
            raise TooManyWaiting(
                f"{self._limit} pulls are waiting, which is as many as the server takes. Pull without `wait`."
            )
        queues = self._of.setdefault(waiter.queue.topic, {})
        if waiter.queue not in queues:
            queues[waiter.queue] = Waiters()
        queues[waiter.queue].add(waiter)
        if waiter.deadline != NEVER:
            self._deadlines.set(waiter, waiter.deadline)
            waiter.peer.waiting += 1

    def has(self, queue: MessageQueue) -> bool:
        """Whether anything waits for a message of `queue`."""
        return queue in self._of.get(queue.topic, {})

    def wake(self, topic: Topic) -> None:
        """There may be something to pull from the queues of a topic."""
        if topic in self._of:
            self._woken_topics[topic] = None
            self._on_due()

    def wake_queue(self, queue: MessageQueue, peer_ids: Iterable[str] | None = None) -> None:
        """There may be something to pull from a queue, and its members, or these, may have fewer messages in flight."""
        if waiters := self._of.get(queue.topic, {}).get(queue):
            waiters.may_have_room(peer_ids)
            self._woken_queues[queue] = None
            self._on_due()

    def end(self, queue: MessageQueue, peers: Collection[Peer] | None = None) -> None:
        """Let no pull wait for `queue` any longer, or none of `peers`; its cost grows with the pulls that wait."""
        waiters = self._of.get(queue.topic, {}).get(queue, ())
        over = {waiter: None for waiter in waiters if peers is None or waiter.peer in peers}
        if over:
            self._over |= over
            self._on_due()

    def end_topic(self, topic: Topic) -> None:
        """Let no pull wait for a topic any longer."""
        if topic in self._of:
            self._over_topics[topic] = None
            self._on_due()

    def end_all(self) -> None:
        """Let no pull wait any longer."""
        self._over_topics |= dict.fromkeys(self._of)
        self._on_due()

    def next_due(self) -> float:
        """When there is one to answer."""
        due = self._over or self._over_topics or self._woken_queues or self._woken_topics
        return NOW if due else self._deadlines.next()

    def take(self, now: float) -> Iterator[Waiter]:
        """Remove and yield those to answer, one by one: their waiting is over, or their queue is ready.

        A queue may change between two of them.
        """
        while waiter := self._first_over():
            yield self._removed(waiter)
        while late := self._deadlines.take(now, 1):
            yield self._removed(late[0])
        while waiter := self._first_ready():
            yield self._removed(waiter)

    def _first_over(self) -> Waiter | None:
        for waiter in self._over:
            return waiter
        while self._over_topics:
            topic = next(iter(self._over_topics))
            for waiters in self._of.get(topic, {}).values():
                return next(iter(waiters))
            del self._over_topics[topic]
        return None

    def _first_ready(self) -> Waiter | None:
        while self._woken_queues or self._woken_topics:
            for queue in reversed(self._woken_queues):  # the last is found at once, however many were removed before
                waiters = self._of.get(queue.topic, {}).get(queue)
                if waiters and (waiter := waiters.first_ready()):
                    return waiter
                break
            else:
                topic, _ = self._woken_topics.popitem()
                self._woken_queues.update(dict.fromkeys(reversed(self._of.get(topic, {}))))
                continue
            del self._woken_queues[queue]
        return None

    def _removed(self, waiter: Waiter) -> Waiter:
        topic = waiter.queue.topic
        queues = self._of[topic]
        queues[waiter.queue].remove(waiter)
        if not queues[waiter.queue]:
            del queues[waiter.queue]
            self._woken_queues.pop(waiter.queue, None)
        if not queues:
            del self._of[topic]
        self._over.pop(waiter, None)
        if waiter.deadline != NEVER:
            self._deadlines.discard(waiter)
            waiter.peer.waiting -= 1
        return waiter
