"""The queue that keeps dead letters until they are dealt with, and their way back to where they came from."""

from collections.abc import Callable, Sequence

from msgspec import DecodeError, Raw, Struct, json

from peerbus.broker.publish_log import NO_PEERS
from peerbus.broker.queue import MessageQueue, QueueOptions
from peerbus.broker.results import Redriven
from peerbus.errors import BadRequest, PeerbusError

GROUP = "dead-letters"
"""The group of the queue that every dead-letter topic has from its first dead letter on."""
OPTIONS = QueueOptions(explicit=True, expires_after=float("inf"))
"""Of that queue: it never expires, so that nothing in it is freed before it is acknowledged or redriven."""
PASSED_AT_ONCE = 10_000
"""New letters that one call passes over at most, because a later one is taken out of the queue."""


class Origin(Struct):
    """The part of a dead letter that says which message it is, and where it came from."""

    message: Raw
    topic: str
    publisher: str | None = None


def redrive(
    queue: MessageQueue, offsets: Sequence[int], to: str | None, publish: Callable[[str, bytes, str | None], None]
) -> Redriven:
    """Publish the messages of dead letters in `queue` again, and take the letters out of it.

    They go to the topic `to`, by default to the one that they came from. A letter whose message cannot be published
    stays where it is, and so does a message that was published to the topic, whatever it looks like. Offsets that are
    settled already, or not there, are stale. If too many new letters are before one, some are passed over, and the
    rest of the offsets is left.
    """
    done = Redriven()
    for at, offset in enumerate(offsets):
        if not queue.is_unsettled(offset):
            done.stale.append(offset)
            continue
        try:
            origin = _origin(queue, offset)
            queue.check_passing(offset)
            if offset - queue.first_new > PASSED_AT_ONCE:
                queue.pass_over(queue.first_new + PASSED_AT_ONCE)
                done.left = list(offsets[at:])
                break
            publish(to or origin.topic, bytes(origin.message), origin.publisher)
        except PeerbusError as error:
            done.failed.append(offset)
            done.error = done.error or error.with_traceback(None)
        else:
            queue.take_out(offset)
            done.count += 1
    return done


def _origin(queue: MessageQueue, offset: int) -> Origin:
    if queue.topic.publisher(offset) not in NO_PEERS:
        raise BadRequest(
            f"The message at offset {offset} of topic '{queue.topic.name}' is no dead letter: it was published to the "
            "topic. Acknowledge it, and publish it where it belongs."
        )
    (letter,) = queue.topic.read(offset, 1, 0)
    try:
        return json.decode(letter, type=Origin)
    except (DecodeError, RecursionError):
        raise BadRequest(f"The message at offset {offset} of topic '{queue.topic.name}' is no dead letter.") from None
