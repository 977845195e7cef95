"""What time brings about: deliveries fall due, messages grow too old, whether anybody calls or not."""

from msgspec import Raw, Struct, json

from peerbus.broker.in_flight import Delivery
from peerbus.broker.log import size_of
from peerbus.broker.long_polls import LongPolls
from peerbus.broker.queue import MessageQueue
from peerbus.broker.structures import Schedule
from peerbus.broker.topic import Topic
from peerbus.broker.topics import Topics
from peerbus.errors import MemoryFull, StorageFull, TooLarge, TooManyTopics, TopicFull
from peerbus.wire.json_scan import MOST_LEVELS, is_deeper

MOST_LEVELS_OF_LETTERS = 2 * MOST_LEVELS
"""How deep a dead letter may be nested. Each time that one is exhausted in its turn adds a level."""


class DeadLetter(Struct):
    """A message in a dead-letter topic: the value as it was published, where from, and why it is here."""

    message: Raw
    topic: str
    offset: int
    attempts: int
    peer_id: str
    reason: str


def letter(queue: MessageQueue, offset: int, delivery: Delivery) -> bytes | None:
    """The dead letter for an exhausted message of `queue`, which was delivered so at last; None if it is too deep."""
    (value,) = queue.topic.read(offset, 1, 0)
    encoded = json.encode(
        DeadLetter(Raw(value), queue.topic.name, offset, delivery.attempt, delivery.member, delivery.problem)
    )
    return None if is_deeper(encoded, MOST_LEVELS_OF_LETTERS) else encoded


NO_ROOM_SECONDS = 1.0
"""How long an exhausted message at least stays that found no room in the dead-letter topic: it is not lost."""
SLICE = 1000
"""Messages taken back in one go, so that nobody waits long for the lock; the rest is due at once again."""


class Maintenance:
    """Brings queues and topics up to date: at each call that looks at them, and when their alarm rings.

    An alarm is set for what others would notice although nobody calls: a queue that exhausts messages, or
    gets some back that a pull waits for, and a topic whose messages grow too old or whose message ids are forgotten.
    """

    __slots__ = ("_alarms", "_topics", "_waiting", "dead_lettered")

    def __init__(self, topics: Topics, waiting: LongPolls) -> None:
        self._topics = topics
        self._waiting = waiting
        self._alarms: Schedule[MessageQueue | Topic] = Schedule()
        self.dead_lettered = 0

    def next_due(self) -> float:
        """When `run` has something to do."""
        return self._alarms.next()

    def run(self, now: float) -> None:
        """Bring up to date what is due by `now`."""
        for due in self._alarms.take(now):
            if isinstance(due, Topic):
                self.refresh(due, now)
            else:
                self.take_back(due, now)

    def refresh(self, topic: Topic, now: float) -> None:
        """Drop what of `topic` is too old."""
        topic.expire(now)
        self._alarms.set(topic, topic.next_expiry())

    def take_back(self, queue: MessageQueue, now: float) -> None:
        """Take back what is overdue in `queue`, and bury what of it is exhausted; a slice of it, where it is much."""
        if queue.in_flight.next_deadline() <= now:
            room = True
            for offset, delivery in queue.take_back(now, SLICE):
                room = room and self._bury(queue, offset, delivery, now)
                if not room:
                    queue.postpone(offset, now + max(queue.options.ack_deadline, NO_ROOM_SECONDS))
            self._waiting.stir_queue(queue)
        self.watch(queue)

    def watch(self, queue: MessageQueue) -> None:
        """Set the alarm for the next message of `queue` to be exhausted, or to come back to a pull that waits."""
        if queue.options.max_attempts is not None or self._waiting.awaits(queue):
            self._alarms.set(queue, queue.in_flight.next_deadline())

    def forget(self, gone: MessageQueue | Topic) -> None:
        """Set no alarm for what is gone."""
        self._alarms.discard(gone)

    def _bury(self, queue: MessageQueue, offset: int, delivery: Delivery, now: float) -> bool:
        """Move an exhausted message to the dead-letter topic, or count it as missed where there is none.

        So is one that came too often from another dead-letter topic. The topic is created where it is absent; false
        when it has no room.
        """
        name = queue.options.dead_letter_topic
        buried = letter(queue, offset, delivery) if name else None
        if name is None or buried is None:
            queue.drop(offset)
            return True
        try:
            topic = self._topics.get_or_create(name)
            self.refresh(topic, now)
            topic.append([buried], size_of([buried]), now)
        except (TopicFull, TooLarge, MemoryFull, StorageFull, TooManyTopics):
            return False
        self._alarms.set(topic, topic.next_expiry())
        queue.discard(offset)
        self.dead_lettered += 1
        queue.topic.dead_lettered += 1
        return True
