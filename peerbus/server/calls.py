"""The function of each call of the indexing server: calls of the broker, and an answer with a sentence.

Each function takes the broker and the decoded request.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

from msgspec import UNSET

from peerbus.broker import Broker, Overview
from peerbus.broker.broker import CLAIMS_AT_ONCE
from peerbus.broker.in_flight import Claim
from peerbus.broker.results import Cancelled, Ended, Published, Pulled, Settled
from peerbus.errors import BadRequest, NotReady
from peerbus.future import Future
from peerbus.http.event_loop import Steps
from peerbus.http.handler import Handover, Pending
from peerbus.server import listings
from peerbus.wire import protocol as wire
from peerbus.wire.tokens import hash_of
from peerbus.wire.words import also_discarded, counted

SUBSCRIPTIONS_AT_ONCE = 500
"""Subscriptions of a peer that are ended in one step, about 3 ms."""

LETTERS_AT_ONCE = 100
"""Dead letters that are published again in one step, about 2 ms."""
VALUES_AT_ONCE = 10_000
"""Messages that are copied out of a request in one step, about 1 ms."""
IDS_AT_ONCE = 1000
"""Ids whose messages are cancelled in one step, up to 2 ms."""
ADDRESSES_AT_ONCE = 5000
"""Peers whose addresses are looked up in one step, about 1 ms."""


def register_peer_node(broker: Broker, r: wire.RegisterRequest) -> wire.RegisterAnswer:
    """Register a peer, or renew its lease."""
    token_hash = None if r.token is UNSET else hash_of(r.token)
    done = broker.register_peer(r.peer_id, r.address, r.lease_seconds, token_hash)
    sentence = f"Peer '{r.peer_id}' {'is' if done.created else 'stays'} registered."
    return wire.RegisterAnswer(
        message=sentence,
        peer_id=r.peer_id,
        created=done.created,
        epoch=done.epoch,
        token=r.token if done.token_is_new else UNSET,
    )


def unregister_peer_node(broker: Broker, r: wire.UnregisterRequest) -> Steps[wire.Answer]:
    """Remove a peer with its own queues, or let them stand while it is away."""
    end = broker.leave if r.keep else broker.end_subscriptions
    discarded = yield from _in_slices(partial(end, r.peer_id, SUBSCRIPTIONS_AT_ONCE))
    sentence = f"Peer '{r.peer_id}' is {'away' if r.keep else 'unregistered'}." + also_discarded(discarded)
    return wire.UnregisterAnswer(message=sentence, peer_id=r.peer_id, discarded=discarded)


def _in_slices(end: Callable[[], Ended]) -> Steps[int]:
    """Call `end` until nothing is left; returns how many messages are discarded."""
    ended = end()
    discarded = ended.discarded
    while ended.left:
        yield
        ended = end()
        discarded += ended.discarded
    return discarded


def create_topic(broker: Broker, r: wire.CreateTopicRequest) -> wire.CreateTopicAnswer:
    """Create a topic."""
    created = broker.create_topic(r.topic, r.max_messages, r.overflow, r.max_age, r.peer_id, r.history)
    sentence = f"Topic '{r.topic}' is created." if created else f"Topic '{r.topic}' existed; it keeps its messages."
    return wire.CreateTopicAnswer(message=sentence, topic=r.topic, created=created)


def delete_topic(broker: Broker, r: wire.TopicRequest) -> wire.Answer | Steps[wire.Answer]:
    """Delete a topic with its messages and subscriptions."""
    done = broker.delete_topic(r.topic)

    def answer(addresses: dict[str, str]) -> wire.Answer:
        sentence = f"Topic '{r.topic}' is deleted."
        return wire.DeleteTopicAnswer(sentence, r.topic, notified=list(addresses), discarded=done.discarded)

    return _with_addresses(broker, done.peers, answer)


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


def subscribe(broker: Broker, r: wire.SubscribeRequest) -> wire.SubscribeAnswer:
    """Subscribe a peer to a topic."""
    done = broker.subscribe(
        r.peer_id,
        r.topic,
        r.start,
        r.group,
        explicit=None if r.ack is None else r.ack == "explicit",
        ack_deadline=r.ack_deadline,
        max_attempts=r.max_attempts,
        dead_letter_topic=r.dead_letter_topic,
        expires_after=r.expires_after,
        push_to=r.push_to,
        push_batch=r.push_batch,
        push_at_once=r.push_at_once,
        push_secret=r.push_secret,
    )
    sentence = f"Peer '{r.peer_id}' {'is' if done.created else 'stays'} subscribed to topic '{r.topic}'."
    if r.start is not None and not done.begun:
        unread = counted(done.unread, "unread message")
        sentence += f" Its queue stands where it was, with {unread}; POST /seek moves it."
    return wire.SubscribeAnswer(
        message=sentence,
        topic=r.topic,
        peer_id=r.peer_id,
        created=done.created,
        next_offset=done.next_offset,
        members=done.members,
    )


def unsubscribe(broker: Broker, r: wire.UnsubscribeRequest) -> wire.Answer | Steps[wire.Answer]:
    """End a subscription, or the message queue of a group."""
    r.check()
    group = r.group
    if group is None and r.peer_id is not None:
        group = broker.group_of(r.peer_id, r.topic) if r.end else None
        if group is None:
            discarded = broker.unsubscribe(r.peer_id, r.topic)
            sentence = f"Peer '{r.peer_id}' is no longer subscribed to topic '{r.topic}'." + also_discarded(discarded)
            return wire.UnsubscribeAnswer(message=sentence, topic=r.topic, peer_id=r.peer_id, discarded=discarded)
    return _end_group(broker, r, str(group))


def _end_group(broker: Broker, r: wire.UnsubscribeRequest, group: str) -> Steps[wire.Answer]:
    discarded = yield from _in_slices(partial(broker.end_group, r.topic, group, SUBSCRIPTIONS_AT_ONCE))
    sentence = f"The message queue of group '{group}' on topic '{r.topic}' is ended." + also_discarded(discarded)
    return wire.UnsubscribeAnswer(message=sentence, topic=r.topic, peer_id=r.peer_id, discarded=discarded)


def seek(broker: Broker, r: wire.SeekRequest) -> wire.SeekAnswer:
    """Move a message queue to an offset or to a time."""
    if isinstance(r.to, wire.Moment):
        offset = broker.seek_time(r.peer_id, r.topic, r.to.time)
    else:
        offset = broker.seek(r.peer_id, r.topic, r.to)
    sentence = f"Peer '{r.peer_id}' continues at offset {offset} of topic '{r.topic}'."
    return wire.SeekAnswer(message=sentence, topic=r.topic, peer_id=r.peer_id, next_offset=offset)


def pull_messages(broker: Broker, r: wire.PullRequest) -> Handover | Pending:
    """Take the next messages from a peer's message queue."""
    if not r.wait:
        return _pull_answer(r.topic, broker.pull(r.peer_id, r.topic, r.max_messages, details=r.details))
    done = broker.pull_waiting(r.peer_id, r.topic, r.max_messages, r.wait, details=r.details)
    if not isinstance(done, Future):
        return _pull_answer(r.topic, done)
    return Pending(done, lambda pulled: _pull_answer(r.topic, pulled, _take_back(broker, r, pulled)))


def _take_back(broker: Broker, r: wire.PullRequest, done: Pulled) -> Callable[[], None] | None:
    """The function to call if the client of a waiting pull is gone; None if nothing was handed over."""
    if not (done.values or done.missed):
        return None
    return lambda: broker.give_back(r.peer_id, r.topic, done.generation, done.offsets, done.attempts, done.missed)


def _pull_answer(topic: str, done: Pulled, on_lost: Callable[[], None] | None = None) -> Handover:
    explicit = done.attempts is not None
    answer = wire.PullAnswer(
        message=_pulled(topic, done),
        messages=listings.NO_MESSAGES,
        offsets=done.offsets,
        next_offset=done.next_offset,
        remaining=done.remaining,
        missed=done.missed,
        attempts=UNSET if done.attempts is None else done.attempts,
        resume_from=done.position if explicit else UNSET,
        publishers=done.details.publishers if done.details else UNSET,
        published_at=done.details.published_at if done.details else UNSET,
    )
    return Handover(answer, done.values, on_lost)


def _pulled(topic: str, done: Pulled) -> str:
    if done.values:
        sentence = f"{counted(len(done.values), 'message')} from topic '{topic}'."
    else:
        sentence = f"No new messages in topic '{topic}'."
        if done.closing:
            sentence += " The server is stopping."
        elif done.remaining:
            sentence = f"No more messages until some of the {done.unacknowledged} handed over are acknowledged."
        elif done.earlier:
            sentence += (
                f' {done.earlier} from before your subscription can be replayed: POST /seek with "to": "earliest".'
            )
    if done.missed:
        sentence += f" {done.missed} were lost before you pulled them."
    return sentence


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


def redrive(broker: Broker, r: wire.RedriveRequest) -> Steps[wire.Answer]:
    """Publish the messages of dead letters again, and acknowledge the letters, some at a time."""
    r.check()
    offsets: Iterable[int] = chain(*broker.dead_letters(r.topic)) if r.offsets is None else r.offsets
    left = iter(offsets)
    done = broker.redrive(r.topic, list(islice(left, LETTERS_AT_ONCE)), r.to, r.peer_id)
    while some := list(islice(left, LETTERS_AT_ONCE)):
        yield
        more = broker.redrive(r.topic, some, r.to)
        done.count += more.count
        done.stale += more.stale
        done.failed += more.failed
        done.error = done.error or more.error
    if done.error and not done.count:
        raise done.error
    sentence = f"{counted(done.count, 'message')} of topic '{r.topic}' published again."
    if done.error:
        sentence += f" {len(done.failed)} stay: {done.error}"
    return wire.RedriveAnswer(sentence, r.topic, redriven=done.count, stale=done.stale, failed=done.failed)


def query_peers(broker: Overview, r: wire.TopicRequest) -> wire.Answer | Steps[wire.Answer]:
    """List the peers that are subscribed to a topic."""
    peers = broker.subscribers(r.topic)

    def answer(addresses: dict[str, str]) -> wire.Answer:
        sentence = f"{counted(len(peers), 'peer')} subscribed to topic '{r.topic}'."
        return wire.QueryPeersAnswer(message=sentence, topic=r.topic, peers=peers, addresses=addresses)

    return _with_addresses(broker, peers, answer)


def _with_addresses(
    broker: Overview, peers: Sequence[str], answer: Callable[[dict[str, str]], wire.Answer]
) -> wire.Answer | Steps[wire.Answer]:
    """The answer about peers and their addresses; the addresses of many are looked up in steps."""
    if len(peers) <= ADDRESSES_AT_ONCE:
        return answer(broker.addresses(peers))
    return _with_many_addresses(broker, peers, answer)


def _with_many_addresses(
    broker: Overview, peers: Sequence[str], answer: Callable[[dict[str, str]], wire.Answer]
) -> Steps[wire.Answer]:
    addresses: dict[str, str] = {}
    for begin in range(0, len(peers), ADDRESSES_AT_ONCE):
        yield
        addresses |= broker.addresses(peers[begin : begin + ADDRESSES_AT_ONCE])
    yield
    return answer(addresses)


def stats(broker: Overview, _: wire.EmptyRequest) -> wire.StatsAnswer:
    """Show totals and present figures."""
    figures = broker.stats()
    sentence = (
        f"{counted(figures.peers, 'peer')}, {counted(figures.topics, 'topic')}, "
        f"{counted(figures.published, 'message')} published."
    )
    return wire.StatsAnswer(message=sentence, stats=figures)


def livez(_: object, __: wire.EmptyRequest) -> wire.Answer:
    """Say that the process answers."""
    return wire.Answer(message="Alive.")


def readyz(broker: Overview, _: wire.EmptyRequest) -> wire.Answer:
    """Say whether calls will be served."""
    if broker.closing:
        raise NotReady("The indexing server is stopping.")
    return wire.Answer(message="Ready.")


Call = Callable[[Any, Any], wire.Answer | Handover | Pending | Steps[wire.Answer]]
"""Takes the broker and a decoded request; returns the answer, now, later, or in steps."""

CALLS: dict[str, Call] = {
    "register_peer_node": register_peer_node,
    "unregister_peer_node": unregister_peer_node,
    "create_topic": create_topic,
    "delete_topic": delete_topic,
    "publish": publish,
    "cancel_scheduled": cancel_scheduled,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "seek": seek,
    "pull_messages": pull_messages,
    "ack_messages": ack_messages,
    "nack_messages": nack_messages,
    "extend_messages": extend_messages,
    "redrive": redrive,
    "query_peers": query_peers,
    "topics": listings.topics,
    "peers": listings.peers,
    "subscriptions": listings.subscriptions,
    "in_flight": listings.in_flight,
    "messages": listings.messages,
    "scheduled": listings.scheduled,
    "stats": stats,
    "livez": livez,
    "readyz": readyz,
}
"""The function of each row of the table that calls the broker, by its name."""
