"""Work that falls due by time alone: overdue messages, exhausted messages, and messages that are too old."""

from msgspec import Raw, Struct, json

from peerbus.broker import dead_letters
from peerbus.broker.in_flight import Delivery
from peerbus.broker.log import size_of
from peerbus.broker.long_polls import LongPolls
from peerbus.broker.publish_log import SERVER
from peerbus.broker.queue import MessageQueue
from peerbus.broker.structures import NOW, Schedule
from peerbus.broker.subscriptions import Subscriptions
from peerbus.broker.topic import Topic
from peerbus.broker.topics import Topics
from peerbus.broker.wall_clock import of_day
from peerbus.errors import UNKEPT, MemoryFull, TooLarge, TooManyTopics, TopicFull
from peerbus.wire.json_scan import MOST_LEVELS, is_deeper

MOST_LEVELS_OF_LETTERS = 2 * MOST_LEVELS
"""How deep a dead letter may be nested. Each time that a dead letter is dead-lettered again adds a level."""
NO_ROOM_SECONDS = 1.0
"""The least time after which an exhausted message for which the dead-letter topic had no room is tried again."""
REQUEUED_AT_ONCE = 1000
"""Overdue messages that one call requeues at most, in 1 to 2 ms; the rest is due at once again."""


class DeadLetter(Struct):
    """A message in a dead-letter topic: the value as published, its origin, and the reason.

    The publisher of a dead letter that is dead-lettered again is `SERVER`. Times are seconds since 1970; those of
    deliveries are None if they were before version 3 of the schema.
    """

    message: Raw
    topic: str
    offset: int
    attempts: int
    peer_id: str
    reason: str
    publisher: str | None
    published_at: float
    first_delivery: float | None
    last_delivery: float | None


def letter(queue: MessageQueue, offset: int, delivery: Delivery) -> bytes | None:
    """The dead letter for an exhausted message of `queue` after its last delivery; None if it is nested too deep."""
    topic = queue.topic
    (value,) = topic.read(offset, 1, 0)
    (publisher,), (published_at,) = topic.details([offset])
    if topic.publisher(offset) == SERVER:
        publisher = SERVER
    ahead = topic.context.wall_clock.ahead
    encoded = json.encode(
        DeadLetter(
            Raw(value),
            topic.name,
            offset,
            delivery.attempt,
            delivery.member,
            delivery.problem,
            publisher,
            published_at,
            of_day(delivery.first, ahead),
            of_day(delivery.since, ahead),
        )
    )
    return None if is_deeper(encoded, MOST_LEVELS_OF_LETTERS) else encoded


class Maintenance:
    """Brings queues and topics up to date: at each call on them, and when their alarm is due.

    An alarm is set for changes that are visible without a call on the queue or topic: a queue that exhausts messages,
    or requeues some for which a pull waits, and a topic whose messages or message ids grow too old.
    """

    __slots__ = ("_alarms", "_long_polls", "_subscriptions", "_topics", "dead_lettered")

    def __init__(self, topics: Topics, subscriptions: Subscriptions, long_polls: LongPolls) -> None:
        self._topics = topics
        self._subscriptions = subscriptions
        self._long_polls = long_polls
        self._alarms: Schedule[MessageQueue | Topic] = Schedule()
        self.dead_lettered = 0

    def next_due(self) -> float:
        """When `run` has something to do."""
        return self._alarms.next()

    def run(self, now: float, limit: int) -> None:
        """Bring queues and topics up to date that are due by `now`: at most `limit` of them and of overdue messages."""
        while limit > 0 and (due := self._alarms.take(now, 1)):
            if isinstance(due[0], Topic):
                self.refresh(due[0], now)
                limit -= 1
            else:
                limit -= 1 + self.requeue_overdue(due[0], now, limit)

    def refresh(self, topic: Topic, now: float) -> None:
        """Drop the messages and message ids of `topic` that are too old."""
        topic.expire(now)
        self._alarms.set(topic, topic.next_expiry())

    def requeue_overdue(self, queue: MessageQueue, now: float, limit: int = REQUEUED_AT_ONCE) -> int:
        """Requeue overdue messages of `queue`, and dead-letter the exhausted ones, up to a cost of `limit`.

        Returns the cost.
        """
        if queue.topic.deleted:
            return 0
        cost = 0
        if queue.in_flight.next_deadline() <= now:
            cost, exhausted, members = queue.requeue_overdue(now, limit)
            room = True
            for offset, delivery in exhausted:
                room = room and self._dead_letter(queue, offset, delivery, now)
                if not room:
                    queue.postpone(offset, delivery, now + max(queue.options.ack_deadline, NO_ROOM_SECONDS))
            self._long_polls.wake_queue(queue, members)
        self.set_alarm(queue)
        return cost

    def set_alarm(self, queue: MessageQueue) -> None:
        """Set the alarm for the next message that is exhausted, or requeued for a waiting pull or a peer that left."""
        due = queue.in_flight.next_deadline()
        if due == NOW or queue.options.max_attempts is not None or self._long_polls.has(queue):
            self._alarms.set(queue, due)

    def forget(self, gone: MessageQueue | Topic) -> None:
        """Set no alarm for a queue or a topic that is gone."""
        self._alarms.discard(gone)

    def _dead_letter(self, queue: MessageQueue, offset: int, delivery: Delivery, now: float) -> bool:
        """Move an exhausted message to the dead-letter topic, or count it as missed where there is none.

        A message that came too often from other dead-letter topics counts as missed, too. The topic is created where
        it is absent, with a queue that keeps its messages; returns false when it has no room.
        """
        name = queue.options.dead_letter_topic
        dead = letter(queue, offset, delivery) if name else None
        if name is None or dead is None:
            queue.drop(offset)
            return True
        try:
            topic = self._topics.get_or_create(name)
            self.refresh(topic, now)
            self._subscriptions.keep(topic, dead_letters.GROUP, dead_letters.OPTIONS, now)
            topic.append([dead], size_of([dead]), now, SERVER)
        except (TopicFull, TooLarge, MemoryFull, TooManyTopics, *UNKEPT):
            return False
        self._alarms.set(topic, topic.next_expiry())
        queue.discard(offset)
        self.dead_lettered += 1
        queue.topic.dead_lettered += 1
        return True
