"""Hooks that update a node's membership from the answers to its peer's calls."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from peerbus.errors import PeerNotFound
from peerbus.http.upstream.exchange import Response
from peerbus.node.membership import Fields, Membership
from peerbus.node.subscriptions import Subscription
from peerbus.wire.protocol import NackAnswer, RegisterAnswer, RegisterRequest, SubscribeAnswer


class Position(msgspec.Struct):
    """The part of an answer with the offset from which a lost subscription would resume."""

    next_offset: int | None = None
    resume_from: int | None = None


_decode_position = msgspec.json.Decoder(Position).decode


def topic_of(fields: Fields) -> str:
    """The topic in the fields of a call."""
    return str(msgspec.json.decode(fields["topic"]))


class Answered(NamedTuple):
    """A call with its response; `before` is the subscription it concerns, read before the call."""

    membership: Membership
    before: Subscription | None
    fields: Fields
    response: Response


def _registered(answered: Answered) -> None:
    membership, _, fields, response = answered
    if response.status == 200:
        registration = msgspec.json.decode(msgspec.json.encode(fields), type=RegisterRequest)
        membership.joined(registration, msgspec.json.decode(response.body, type=RegisterAnswer))


def _unregistered(answered: Answered) -> None:
    if answered.response.status in (200, PeerNotFound.status):
        answered.membership.left()


def _subscribed(answered: Answered) -> None:
    membership, _, fields, response = answered
    if response.status == 200:
        answer = msgspec.json.decode(response.body, type=SubscribeAnswer)
        named = {name: msgspec.json.decode(value) for name, value in fields.items() if name not in ("peer_id", "topic")}
        membership.subscriptions.begun(answer.topic, answer.next_offset, named, answer.created)


def _unsubscribed(answered: Answered) -> None:
    if answered.response.status in (200, 410):
        answered.membership.subscriptions.ended(topic_of(answered.fields))


def _moved_back(answered: Answered) -> None:
    membership, _, fields, response = answered
    if response.status == 200:
        membership.subscriptions.moved_back(
            topic_of(fields), msgspec.json.decode(response.body, type=NackAnswer).resume_from
        )
    elif response.status == 410:
        membership.subscriptions.ended(topic_of(fields))


def _moved_on(answered: Answered) -> None:
    membership, before, fields, response = answered
    if response.status == 200:
        position = _decode_position(response.body)
        resume_from = position.next_offset if position.resume_from is None else position.resume_from
        if resume_from is None:
            raise msgspec.DecodeError("no position")
        membership.subscriptions.moved_on(topic_of(fields), before, resume_from)
    elif response.status == 410:
        membership.subscriptions.ended(topic_of(fields))


ANSWER_HOOKS: dict[str, Callable[[Answered], None]] = {
    "register_peer_node": _registered,
    "unregister_peer_node": _unregistered,
    "subscribe": _subscribed,
    "unsubscribe": _unsubscribed,
    "pull_messages": _moved_on,
    "ack_messages": _moved_on,
    "nack_messages": _moved_back,
    "extend_messages": _moved_on,
}
"""The hook of each call that has one, by the call's name; it raises `DecodeError` for an unexpected answer."""
