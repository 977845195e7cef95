"""Hooks that update a node's membership from the answers to its peer's calls."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from peerbus.errors import PeerNotFound, TopicDeleted
from peerbus.http.upstream.exchange import Response
from peerbus.node.membership import Fields, Membership
from peerbus.wire.protocol import RegisterAnswer, RegisterRequest, SubscribeAnswer


def topic_of(fields: Fields) -> str:
    """The topic in the fields of a call."""
    return str(msgspec.json.decode(fields["topic"]))


class Answered(NamedTuple):
    """A call with its response; `was_known`: the node knew the subscription that it is about before the call."""

    membership: Membership
    was_known: bool
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
        membership.subscriptions.begun(answer.topic, named, answer.created)


def _unsubscribed(answered: Answered) -> None:
    if answered.response.status in (200, TopicDeleted.status):
        answered.membership.subscriptions.ended(topic_of(answered.fields))


def _used(answered: Answered) -> None:
    membership, was_known, fields, response = answered
    if response.status == 200 and not was_known:
        membership.subscriptions.used(topic_of(fields))
    elif response.status == TopicDeleted.status:
        membership.subscriptions.ended(topic_of(fields))


ANSWER_HOOKS: dict[str, Callable[[Answered], None]] = {
    "register_peer_node": _registered,
    "unregister_peer_node": _unregistered,
    "subscribe": _subscribed,
    "unsubscribe": _unsubscribed,
    "seek": _used,
    "pull_messages": _used,
    "ack_messages": _used,
    "nack_messages": _used,
    "extend_messages": _used,
}
"""The hook of each call that has one, by the call's name; it raises `DecodeError` for an unexpected answer."""
