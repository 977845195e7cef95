"""The function of each call of the indexing server: calls of the broker, and an answer with a sentence.

Each function takes the broker and the decoded request.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import UNSET

from peerbus.broker import Broker, Overview
from peerbus.broker.results import Ended, Pulled
from peerbus.errors import NotReady
from peerbus.future import Future
from peerbus.http.event_loop import Steps
from peerbus.http.handler import Handover, Pending
from peerbus.server import creating, listings, publishing, settling
from peerbus.wire import protocol as wire
from peerbus.wire.tokens import hash_of
from peerbus.wire.words import also_discarded, counted

SUBSCRIPTIONS_AT_ONCE = 500
"""Subscriptions of a peer that are ended in one step, about 3 ms."""
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
    if r.keep:
        leave = partial(broker.leave, r.peer_id, SUBSCRIPTIONS_AT_ONCE)
        discarded = yield from _in_slices(leave, partial(leave, begin=False))
    else:
        discarded = yield from _in_slices(partial(broker.end_subscriptions, r.peer_id, SUBSCRIPTIONS_AT_ONCE))
    sentence = f"Peer '{r.peer_id}' is {'away' if r.keep else 'unregistered'}." + also_discarded(discarded)
    return wire.UnregisterAnswer(message=sentence, peer_id=r.peer_id, discarded=discarded)


def _in_slices(end: Callable[[], Ended], go_on: Callable[[], Ended] | None = None) -> Steps[int]:
    """Call `end`, then `go_on` or `end` again until nothing is left; returns how many messages are discarded."""
    ended = end()
    discarded = ended.discarded
    while ended.left:
        yield
        ended = (go_on or end)()
        discarded += ended.discarded
    return discarded


def delete_topic(broker: Broker, r: wire.TopicRequest) -> wire.Answer | Steps[wire.Answer]:
    """Delete a topic with its messages and subscriptions."""
    done = broker.delete_topic(r.topic)

    def answer(addresses: dict[str, str]) -> wire.Answer:
        sentence = f"Topic '{r.topic}' is deleted."
        return wire.DeleteTopicAnswer(sentence, r.topic, notified=list(addresses), discarded=done.discarded)

    return _with_addresses(broker, done.peers, answer)


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
    return lambda: broker.give_back(
        r.peer_id, r.topic, done.queue, done.generation, done.offsets, done.attempts, done.missed
    )


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
    """Say whether calls will be served; raises `NotReady` while changes cannot be written."""
    if broker.closing:
        raise NotReady("The indexing server is stopping.")
    refusal = broker.refusal
    if refusal and broker.is_stuck:
        raise NotReady(f"Calls that change something wait. {refusal.message}")
    return wire.Answer(message=f"Ready, but nothing is published for now. {refusal.message}" if refusal else "Ready.")


Call = Callable[[Any, Any], wire.Answer | Handover | Pending | Steps[wire.Answer]]
"""Takes the broker and a decoded request; returns the answer, now, later, or in steps."""

CALLS: dict[str, Call] = {
    "register_peer_node": register_peer_node,
    "unregister_peer_node": unregister_peer_node,
    "create_topic": creating.create_topic,
    "create_topics": creating.create_topics,
    "delete_topic": delete_topic,
    "publish": publishing.publish,
    "cancel_scheduled": publishing.cancel_scheduled,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "seek": seek,
    "pull_messages": pull_messages,
    "ack_messages": settling.ack_messages,
    "nack_messages": settling.nack_messages,
    "extend_messages": settling.extend_messages,
    "redrive": publishing.redrive,
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
