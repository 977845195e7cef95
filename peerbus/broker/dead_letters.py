"""What becomes of a message that was handed over in vain as often as allowed."""

from msgspec import Raw, Struct, json

from peerbus.broker.log import size_of
from peerbus.broker.message_queue import MessageQueue
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


def bury(queue: MessageQueue, offset: int, topics: Topics, now: float) -> bool:
    """Take an exhausted message out of `queue`; says whether it moved to the queue's dead-letter topic.

    That is created where it is absent. Without one, the message counts as missed. One that the dead-letter
    topic has no room for stays, and is tried again after a deadline: it is not lost.
    """
    if queue.options.dead_letter_topic is None:
        queue.drop(offset)
        return False
    letter = _letter(queue, offset)
    try:
        _topic_for(queue.options.dead_letter_topic, topics).append([letter], size_of([letter]), now)
    except (TopicFull, TooLarge, MemoryFull, TooManyTopics):
        queue.postpone(offset, now + queue.options.ack_deadline)
        return False
    queue.discard(offset)
    return True


def _topic_for(name: str, topics: Topics) -> Topic:
    try:
        return topics.get(name)
    except TopicNotFound:
        topics.create(name)
        return topics.get(name)


def _letter(queue: MessageQueue, offset: int) -> bytes:
    delivery = queue.delivery(offset)
    (value,) = queue.topic.log.read(offset, 1, 0)
    return json.encode(
        DeadLetter(Raw(value), queue.topic.name, offset, delivery.attempt, delivery.member, delivery.problem)
    )
