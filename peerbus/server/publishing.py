"""The functions of the calls that publish: now, later, and again for dead letters."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice

from msgspec import UNSET

from peerbus.broker import Broker
from peerbus.broker.results import Cancelled, Published
from peerbus.errors import BadRequest
from peerbus.http.event_loop import Steps
from peerbus.wire import protocol as wire
from peerbus.wire.words import counted

LETTERS_AT_ONCE = 100
"""Dead letters that are published again in one step, about 2 ms."""
VALUES_AT_ONCE = 10_000
"""Messages that are copied out of a request in one step, about 1 ms."""
IDS_AT_ONCE = 1000
"""Ids whose messages are cancelled in one step, up to 2 ms."""


def publish(broker: Broker, r: wire.PublishRequest) -> wire.Answer | Steps[wire.Answer]:
    """Publish one message or a batch to a topic."""
    return _publish(broker, r, *r.values()) if r.count <= VALUES_AT_ONCE else _publish_many(broker, r)


def _publish_many(broker: Broker, r: wire.PublishRequest) -> Steps[wire.Answer]:
    """Publish a large batch: copying it out of the request takes many steps, publishing it is one atomic step."""
    values: list[bytes] = []
    size = 0
    for begin in range(0, r.count, VALUES_AT_ONCE):
        yield
        some, their_size = r.values(begin, begin + VALUES_AT_ONCE)
        values += some
        size += their_size
    yield
    answer = _publish(broker, r, values, size)
    yield
    return answer


def _publish(broker: Broker, r: wire.PublishRequest, values: Sequence[bytes], size: int) -> wire.PublishAnswer:
    if r.delay is not None or r.at is not None:
        return _schedule(broker, r, values)
    done = broker.publish(r.topic, values, r.peer_id, r.message_id, size)
    if done.duplicate:
        return _duplicate(r, done)
    if done.count == 1:
        sentence = f"Message published to topic '{r.topic}'."
    else:
        sentence = f"{counted(done.count, 'message')} published to topic '{r.topic}'."
    return wire.PublishAnswer(
        message=sentence, topic=r.topic, offset=done.offset, count=done.count, duplicate=done.duplicate
    )


def _schedule(broker: Broker, r: wire.PublishRequest, values: Sequence[bytes]) -> wire.PublishAnswer:
    if r.delay is not None and r.at is not None:
        raise BadRequest("Expected delay or at, got both - at $")
    done = broker.schedule(r.topic, values, r.peer_id, r.message_id, delay=r.delay, at=r.at)
    if done.duplicate or done.scheduled is None:
        return _duplicate(r, done)
    sentence = f"{counted(done.count, 'message')} scheduled for topic '{r.topic}', with the id {done.scheduled}."
    return wire.PublishAnswer(
        sentence, r.topic, offset=None, count=done.count, duplicate=False, scheduled=done.scheduled
    )


def _duplicate(r: wire.PublishRequest, done: Published) -> wire.PublishAnswer:
    verb = "published to" if done.scheduled is None else "scheduled for"
    return wire.PublishAnswer(
        message=f"Message '{r.message_id}' was {verb} topic '{r.topic}' before; nothing is published.",
        topic=r.topic,
        offset=done.offset,
        count=done.count,
        duplicate=True,
        scheduled=UNSET if done.scheduled is None else done.scheduled,
    )


def cancel_scheduled(broker: Broker, r: wire.CancelScheduledRequest) -> wire.Answer | Steps[wire.Answer]:
    """Cancel messages that are to be published later, many of them in slices: each slice is one atomic step."""
    if len(r.ids) <= IDS_AT_ONCE:
        return _cancelled(r, broker.cancel_scheduled(r.topic, r.ids, r.peer_id))
    return _cancel_slices(broker, r)


def _cancel_slices(broker: Broker, r: wire.CancelScheduledRequest) -> Steps[wire.Answer]:
    ids = list(dict.fromkeys(r.ids))
    done = Cancelled(0, [])
    for begin in range(0, len(ids), IDS_AT_ONCE):
        yield
        more = broker.cancel_scheduled(r.topic, ids[begin : begin + IDS_AT_ONCE], r.peer_id)
        done = Cancelled(done.count + more.count, done.unknown + more.unknown)
    return _cancelled(r, done)


def _cancelled(r: wire.CancelScheduledRequest, done: Cancelled) -> wire.CancelScheduledAnswer:
    sentence = f"{counted(done.count, 'message')} of topic '{r.topic}' cancelled."
    if done.unknown:
        sentence += f" {counted(len(done.unknown), 'id')} unknown: published, cancelled before, or never scheduled."
    return wire.CancelScheduledAnswer(sentence, r.topic, cancelled=done.count, unknown=done.unknown)


def redrive(broker: Broker, r: wire.RedriveRequest) -> Steps[wire.Answer]:
    """Publish the messages of dead letters again, and acknowledge the letters, some at a time."""
    r.check()
    offsets: Iterable[int] = chain(*broker.dead_letters(r.topic)) if r.offsets is None else r.offsets
    left = iter(offsets)
    done = broker.redrive(r.topic, list(islice(left, LETTERS_AT_ONCE)), r.to, r.peer_id)
    while some := list(islice(chain(done.left, left), LETTERS_AT_ONCE)):
        yield
        more = broker.redrive(r.topic, some, r.to)
        done.count += more.count
        done.stale += more.stale
        done.failed += more.failed
        done.left = more.left
        done.error = done.error or more.error
    if done.error and not done.count:
        raise done.error
    sentence = f"{counted(done.count, 'message')} of topic '{r.topic}' published again."
    if done.error:
        sentence += f" {len(done.failed)} stay: {done.error}"
    return wire.RedriveAnswer(sentence, r.topic, redriven=done.count, stale=done.stale, failed=done.failed)
