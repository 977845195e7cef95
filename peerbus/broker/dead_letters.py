"""What becomes of a message that was handed over in vain as often as allowed."""

from msgspec import Raw, Struct, json

from peerbus.broker.message_queue import MessageQueue
from peerbus.broker.unacknowledged import Delivery
from peerbus.nesting import MOST_LEVELS, nested_deeper

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
    return None if nested_deeper(encoded, MOST_LEVELS_OF_LETTERS) else encoded
