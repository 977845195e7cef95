"""What becomes of a message that was handed over in vain as often as allowed."""

from msgspec import Raw, Struct, json

from peerbus.broker.log import size_of
from peerbus.broker.message_queue import Delivery, MessageQueue
from peerbus.broker.topic import Topic
from peerbus.broker.topics import Topics
from peerbus.errors import MemoryFull, TooLarge, TooManyTopics, TopicFull, TopicNotFound


class DeadLetter(Struct):
    """A message in a dead-letter topic: the value as it was published, where from, and why it is here."""

    message: Raw
    topic: str
    offset: int
    attempts: int
    peer_id: str
    reason: str


def settle(queue: MessageQueue, topics: Topics, now: float) -> int:
    """Take back what is overdue in `queue`, and bury what of it is exhausted; returns how many those were.

    They move to the queue's dead-letter topic, which is created where it is absent, or else count as missed.
    One that the dead-letter topic has no room for stays, and is tried again after a deadline: it is not lost.
    """
    exhausted = queue.settle(now)
    for offset, delivery in exhausted:
        if queue.options.dead_letter_topic is None:
            queue.drop(offset)
            continue
        letter = _letter(queue, offset, delivery)
        try:
            _topic_for(queue.options.dead_letter_topic, topics).append([letter], size_of([letter]), now)
        except (TopicFull, TooLarge, MemoryFull, TooManyTopics):
            queue.postpone(offset, now + queue.options.ack_deadline)
        else:
            queue.discard(offset)
    return len(exhausted)


def _topic_for(name: str, topics: Topics) -> Topic:
    try:
        return topics.get(name)
    except TopicNotFound:
        topics.create(name)
        return topics.get(name)


def _letter(queue: MessageQueue, offset: int, delivery: Delivery) -> bytes:
    (value,) = queue.topic.log.read(offset, 1, 0)
    return json.encode(
        DeadLetter(Raw(value), queue.topic.name, offset, delivery.attempt, delivery.member, delivery.problem)
    )
