"""The functions of the calls about messages in flight: acknowledge, reject, extend."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from peerbus.broker import Broker
from peerbus.broker.deliveries import CLAIMS_AT_ONCE
from peerbus.broker.in_flight import Claim
from peerbus.broker.results import Settled
from peerbus.http.event_loop import Steps
from peerbus.wire import protocol as wire
from peerbus.wire.words import counted


def ack_messages(broker: Broker, r: wire.ClaimRequest) -> wire.Answer | Steps[wire.Answer]:
    """Acknowledge pulled messages: they are settled for good."""

    def answer(done: Settled) -> wire.Answer:
        return wire.AckAnswer(
            message=f"{counted(done.count, 'message')} acknowledged." + _stale(done),
            topic=r.topic,
            peer_id=r.peer_id,
            acknowledged=done.count,
            stale=done.stale,
            resume_from=done.position,
        )

    return _settle(broker, r, partial(broker.acknowledge, r.peer_id, r.topic), answer)


def nack_messages(broker: Broker, r: wire.NackRequest) -> wire.Answer | Steps[wire.Answer]:
    """Reject pulled messages, or hand them back untouched: they are redelivered, now or after a delay."""
    verb = "rejected" if r.attempted else "handed back"

    def answer(done: Settled) -> wire.Answer:
        return wire.NackAnswer(
            message=f"{counted(done.count, 'message')} {verb}." + _stale(done),
            topic=r.topic,
            peer_id=r.peer_id,
            rejected=done.count,
            stale=done.stale,
            resume_from=done.position,
        )

    reject = partial(broker.reject, r.peer_id, r.topic, delay=r.delay, attempted=r.attempted)
    return _settle(broker, r, reject, answer)


def extend_messages(broker: Broker, r: wire.ExtendRequest) -> wire.Answer | Steps[wire.Answer]:
    """Extend the deadline of pulled messages."""

    def answer(done: Settled) -> wire.Answer:
        return wire.ExtendAnswer(
            message=f"{counted(done.count, 'message')} extended for {r.seconds:g} seconds." + _stale(done),
            topic=r.topic,
            peer_id=r.peer_id,
            extended=done.count,
            stale=done.stale,
            resume_from=done.position,
        )

    return _settle(broker, r, partial(broker.extend, r.peer_id, r.topic, seconds=r.seconds), answer)


def _settle(
    broker: Broker,
    r: wire.ClaimRequest,
    settle: Callable[[Sequence[Claim]], Settled],
    answer: Callable[[Settled], wire.Answer],
) -> wire.Answer | Steps[wire.Answer]:
    """Settle claims, many of them in slices: each slice is one atomic step.

    The claims `up_to` an offset are those of the moment of the call, without messages that are handed over later.
    """
    r.check()
    if r.up_to is not None:
        return _settle_slices(broker.in_hand(r.peer_id, r.topic, r.up_to), settle, answer)
    count = len(r.offsets or ())
    # With automatic acknowledgement, the messages of the last pull return together or not at all.
    if count <= CLAIMS_AT_ONCE or not settle([]).explicit:
        return answer(settle(r.claims()))
    slices = (r.claims(begin, begin + CLAIMS_AT_ONCE) for begin in range(0, count, CLAIMS_AT_ONCE))
    return _settle_slices(slices, settle, answer)


def _settle_slices(
    slices: Iterator[Sequence[Claim]],
    settle: Callable[[Sequence[Claim]], Settled],
    answer: Callable[[Settled], wire.Answer],
) -> Steps[wire.Answer]:
    done = settle(next(slices, []))
    for claims in slices:
        yield
        more = settle(claims)
        done = Settled(done.count + more.count, done.stale + more.stale, more.position, more.explicit)
    return answer(done)


def _stale(done: Settled) -> str:
    sentence = ""
    if done.stale:
        sentence = f" {len(done.stale)} stale: settled before, redelivered since, or never delivered."
    if not (done.explicit or done.count):
        sentence += ' This subscription acknowledges by pulling; for explicit, subscribe with "ack": "explicit".'
    return sentence
