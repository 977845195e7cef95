"""Pulls that wait for messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from peerbus.broker.results import Pulled
from peerbus.broker.structures import Schedule
from peerbus.errors import TooManyWaiting
from peerbus.future import Future

if TYPE_CHECKING:
    from peerbus.broker.peers import Peer
    from peerbus.broker.queue import MessageQueue
    from peerbus.broker.topic import Topic

NOW = float("-inf")


class LongPoll:
    """One pull that waits, until `deadline` at most, to be answered by `answer`; of a `reader` while it is the last."""

    __slots__ = ("answer", "deadline", "max_messages", "peer", "queue", "reader")

    def __init__(
        self, peer: Peer, queue: MessageQueue, max_messages: int, deadline: float, reader: int | None = None
    ) -> None:
        self.peer = peer
        self.queue = queue
        self.max_messages = max_messages
        self.deadline = deadline
        self.reader = reader
        self.answer: Future[Pulled] = Future()


class LongPolls:
    """The waiting pulls of each queue in the order in which they came, and which of them to answer.

    Adding and removing cost the logarithm of the number that wait, stirring costs a constant.
    """

    __slots__ = ("_deadlines", "_limit", "_of", "_over", "_ring", "_stirred_queues", "_stirred_topics")

    def __init__(self, limit: int, run: Callable[[], None]) -> None:
        """At most `limit` may wait; `run` is called when there may be one to answer."""
        self._limit = limit
        self._ring = run
        self._of: dict[Topic, dict[MessageQueue, dict[LongPoll, None]]] = {}
        self._deadlines: Schedule[LongPoll] = Schedule()
        self._stirred_topics: dict[Topic, None] = {}
        self._stirred_queues: dict[MessageQueue, None] = {}
        self._over: dict[LongPoll, None] = {}

    def __len__(self) -> int:
        return len(self._deadlines)

    def add(self, waiter: LongPoll) -> None:
        """Let a pull wait; raises `TooManyWaiting`."""
        if len(self) >= self._limit:
            raise TooManyWaiting(
                f"{len(self)} pulls are waiting, which is as many as the server takes. Pull without `wait`."
            )
        queues = self._of.setdefault(waiter.queue.topic, {})
        queues.setdefault(waiter.queue, {})[waiter] = None
        self._deadlines.set(waiter, waiter.deadline)
        waiter.peer.waiting += 1

    def awaits(self, queue: MessageQueue) -> bool:
        """Whether a pull waits for a message of `queue`."""
        return queue in self._of.get(queue.topic, {})

    def stir(self, topic: Topic) -> None:
        """Look at the queues of a topic: there may be something to pull."""
        if topic in self._of:
            self._stirred_topics[topic] = None
            self._ring()

    def stir_queue(self, queue: MessageQueue) -> None:
        """Look at one queue: there may be something to pull."""
        if self.awaits(queue):
            self._stirred_queues[queue] = None
            self._ring()

    def end(self, queue: MessageQueue, peer: Peer | None = None) -> None:
        """Let no pull wait for `queue` any longer, or none of `peer`."""
        waiters = self._of.get(queue.topic, {}).get(queue, {})
        over = {waiter: None for waiter in waiters if peer in (None, waiter.peer)}
        if over:
            self._over |= over
            self._ring()

    def end_all(self) -> None:
        """Let no pull wait any longer."""
        for queues in self._of.values():
            for waiters in queues.values():
                self._over |= waiters
        self._ring()

    def next_due(self) -> float:
        """When there is one to answer."""
        return NOW if self._over or self._stirred_queues or self._stirred_topics else self._deadlines.next()

    def take(self, now: float) -> LongPoll | None:
        """Remove and return one to answer, if there is one: its queue is ready, or it waits no longer."""
        waiter = next(iter(self._over), None) or next(iter(self._deadlines.take(now, 1)), None) or self._first_ready()
        if waiter is not None:
            self._remove(waiter)
        return waiter

    def _first_ready(self) -> LongPoll | None:
        while self._stirred_queues or self._stirred_topics:
            for queue in self._stirred_queues:
                waiters = self._of.get(queue.topic, {}).get(queue)
                if waiters and queue.ready:
                    return next(iter(waiters))
                break
            else:
                topic, _ = self._stirred_topics.popitem()
                self._stirred_queues.update(dict.fromkeys(self._of.get(topic, {})))
                continue
            del self._stirred_queues[queue]
        return None

    def _remove(self, waiter: LongPoll) -> None:
        topic = waiter.queue.topic
        queues = self._of[topic]
        del queues[waiter.queue][waiter]
        if not queues[waiter.queue]:
            del queues[waiter.queue]
        if not queues:
            del self._of[topic]
        self._over.pop(waiter, None)
        self._deadlines.discard(waiter)
        waiter.peer.waiting -= 1
