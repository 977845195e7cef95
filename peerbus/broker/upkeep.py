"""What time brings about: deliveries fall due, messages grow too old, whether anybody calls or not."""

from peerbus.broker.dead_letters import bury
from peerbus.broker.message_queue import MessageQueue
from peerbus.broker.schedule import Schedule
from peerbus.broker.topic import Topic
from peerbus.broker.topics import Topics


class Upkeep:
    """Brings queues and topics up to date: at each call that looks at them, and when their alarm rings.

    An alarm is set for what others would notice although nobody calls: a queue that exhausts messages, and a
    topic whose messages grow too old.
    """

    __slots__ = ("_alarms", "_topics", "dead_lettered")

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._alarms: Schedule[MessageQueue | Topic] = Schedule()
        self.dead_lettered = 0

    def next_alarm(self) -> float:
        """A time before which `ring` has nothing to do."""
        return self._alarms.next()

    def ring(self, now: float) -> None:
        """Bring up to date what is due by `now`."""
        for due in self._alarms.take(now):
            if isinstance(due, Topic):
                self.refresh(due, now)
            else:
                self.settle(due, now)

    def refresh(self, topic: Topic, now: float) -> None:
        """Drop the messages of `topic` that are too old."""
        if topic.options.max_age is not None:
            topic.expire(now)
            self._alarms.set(topic, topic.next_expiry())

    def settle(self, queue: MessageQueue, now: float) -> None:
        """Take back what is overdue in `queue`, and bury what of it is exhausted."""
        if queue.next_deadline() <= now:
            exhausted = queue.settle(now)
            self.dead_lettered += sum(bury(queue, offset, self._topics, now) for offset in exhausted)
        self.watch(queue)

    def watch(self, queue: MessageQueue) -> None:
        """Set the alarm for the next message of `queue` to be exhausted."""
        if queue.options.max_attempts is not None:
            self._alarms.set(queue, queue.next_deadline())

    def forget(self, gone: MessageQueue | Topic) -> None:
        """Set no alarm for what is gone."""
        self._alarms.discard(gone)
