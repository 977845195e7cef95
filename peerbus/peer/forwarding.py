"""Forwarding: an application's call to its peer node becomes the same call to the indexing server."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from string import punctuation
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Raw

from peerbus.endpoints import Endpoint
from peerbus.errors import NotSubscribed, PeerMismatch, PeerNotFound
from peerbus.peer.index import JSON_HEADERS, Index, error_in
from peerbus.peer.membership import Membership, Subscription
from peerbus.protocol import RegisterAnswer, RegisterRequest, SubscribeAnswer
from peerbus.serving import Environ
from peerbus.transport import Received
from peerbus.web import Handler, Reply, read_body

log = logging.getLogger(__name__)

Fields = dict[str, Raw]
"""A request's fields by name, their values as they came."""

LONGEST_WAIT = 86_400.0
"""The most that is added to the time an answer may take; what a pull may wait is for the server to say."""
PASSED_ON = {"content-type": "Content-Type", "retry-after": "Retry-After", "allow": "Allow"}
"""The headers of an answer that are the caller's too."""


class Position(msgspec.Struct):
    """The part of an answer that says where a subscription would go on that was lost now."""

    next_offset: int | None = None
    resume_from: int | None = None


_decode_fields = msgspec.json.Decoder(Fields).decode
_decode_position = msgspec.json.Decoder(Position).decode
_encode = msgspec.json.Encoder().encode


def forwarding(endpoint: Endpoint[Any, Any], index: Index, membership: Membership, max_body: int) -> Handler:
    """The handler that forwards an endpoint's calls, with the peer's own id where the call has one.

    What the server answers goes back unchanged, also to a request it refuses. Where it says that this peer or
    its subscription is unknown, though it should not be, that is mended and the call made once more.
    """
    names_peer = endpoint.has_peer_id
    observe = OBSERVERS.get(endpoint.name)
    guard = membership.unchanging if endpoint.name in CHANGES_MEMBERSHIP else nullcontext

    def handle(environ: Environ) -> Reply:
        body = read_body(environ, max_body)
        path = _path(endpoint, environ["QUERY_STRING"])
        headers = _headers(environ, body)
        fields = _fields(body, headers) if names_peer else None
        wait = 0.0
        if fields is not None:
            body = _filled_in(endpoint, body, fields, membership)
            wait = _seconds(fields.get("wait"))
        before = _subscription(fields, membership) if observe and fields is not None else None
        with guard():
            received = index.send(endpoint.method, path, body, headers, wait)
            if received.status == 404 and fields is not None and _mend(endpoint, received, fields, membership):
                before = _subscription(fields, membership) if observe else None
                received = index.send(endpoint.method, path, body, headers, wait)
            if observe and fields is not None:
                _learn(observe, index, Answered(membership, before, fields, received))
        return Reply(
            received.status,
            received.body,
            [(name, received.headers[key]) for key, name in PASSED_ON.items() if key in received.headers],
        )

    return handle


def _path(endpoint: Endpoint[Any, Any], query: str) -> str:
    if not query:
        return endpoint.path
    return f"{endpoint.path}?{query if query.isascii() else quote(query, safe=punctuation, encoding='latin-1')}"


def _headers(environ: Environ, body: bytes) -> tuple[str, ...]:
    if not body:
        return JSON_HEADERS
    content_type = environ.get("CONTENT_TYPE")
    return (f"Content-Type: {content_type}",) if content_type else ("Content-Type:",)


def _fields(body: bytes, headers: tuple[str, ...]) -> Fields | None:
    """The fields of a body, or None when it is not an object in JSON: that is for the server to refuse."""
    if "application/json" not in headers[0].lower():
        return None
    try:
        return _decode_fields(body if body.isascii() else body.decode()) if body else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _filled_in(endpoint: Endpoint[Any, Any], body: bytes, fields: Fields, membership: Membership) -> bytes:
    """The body with what the node knows itself; what came stays as it came, byte for byte."""
    known: dict[str, Any] = {"peer_id": membership.peer_id}
    if endpoint.request is RegisterRequest:
        known = msgspec.to_builtins(membership.registration)
    if "peer_id" in fields and _names_another(fields["peer_id"], membership.peer_id):
        raise PeerMismatch(
            f"This peer node acts for peer '{membership.peer_id}' alone. "
            "Leave `peer_id` out, or call the node of that peer."
        )
    missing = {name: Raw(_encode(value)) for name, value in known.items() if name not in fields}
    if not missing:
        return body
    separator = b"," if fields else b""
    fields.update(missing)
    return (body.rstrip()[:-1] or b"{") + separator + _encode(missing)[1:]


def _names_another(value: Raw, peer_id: str) -> bool:
    """Whether a `peer_id` is not this peer's; one of a wrong type is for the server to refuse."""
    try:
        given = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return False
    return given is None or (isinstance(given, str) and given != peer_id)


def _seconds(value: Raw | None) -> float:
    try:
        return min(max(0.0, msgspec.json.decode(value, type=float)), LONGEST_WAIT) if value else 0.0
    except msgspec.DecodeError:
        return 0.0


def _mend(endpoint: Endpoint[Any, Any], received: Received, fields: Fields, membership: Membership) -> bool:
    if endpoint.name == "unregister_peer_node":
        return False
    code = error_in(received).code
    if code == PeerNotFound.code:
        return membership.can_restore(None) and membership.renew()
    return code == NotSubscribed.code and membership.can_restore(_topic(fields)) and membership.renew()


def _topic(fields: Fields) -> str:
    return str(msgspec.json.decode(fields["topic"]))


def _subscription(fields: Fields, membership: Membership) -> Subscription | None:
    """What the node knows of the subscription that a call is about, before it is made."""
    topic = fields.get("topic")
    return membership.find(bytes(topic)[1:-1].decode()) if topic else None


class Answered(NamedTuple):
    """A call that was answered; `before` is the subscription it was about, as it stood before the call."""

    membership: Membership
    before: Subscription | None
    fields: Fields
    received: Received


def _learn(observe: Callable[[Answered], None], index: Index, answered: Answered) -> None:
    try:
        observe(answered)
    except msgspec.DecodeError:
        raise index.not_ours() from None
    except RecursionError:
        log.warning("An answer is nested too deeply to learn from; it goes on as it came.")


def _registered(answered: Answered) -> None:
    membership, _, fields, received = answered
    if received.status == 200:
        registration = msgspec.json.decode(_encode(fields), type=RegisterRequest)
        membership.joined(registration, msgspec.json.decode(received.body, type=RegisterAnswer))


def _unregistered(answered: Answered) -> None:
    if answered.received.status == 200:
        answered.membership.left()


def _subscribed(answered: Answered) -> None:
    membership, _, fields, received = answered
    if received.status == 200:
        answer = msgspec.json.decode(received.body, type=SubscribeAnswer)
        named = {name: msgspec.json.decode(value) for name, value in fields.items() if name not in ("peer_id", "topic")}
        membership.subscribed(answer.topic, answer.next_offset, named, answer.created)


def _unsubscribed(answered: Answered) -> None:
    if answered.received.status in (200, 410):
        answered.membership.unsubscribed(_topic(answered.fields))


def _moved_on(answered: Answered) -> None:
    membership, before, fields, received = answered
    if received.status == 200:
        position = _decode_position(received.body)
        resume_from = position.next_offset if position.resume_from is None else position.resume_from
        if resume_from is None:
            raise msgspec.DecodeError("no position")
        membership.moved_on(_topic(fields), before, resume_from)
    elif received.status == 410:
        membership.unsubscribed(_topic(fields))


OBSERVERS: dict[str, Callable[[Answered], None]] = {
    "register_peer_node": _registered,
    "unregister_peer_node": _unregistered,
    "subscribe": _subscribed,
    "unsubscribe": _unsubscribed,
    "pull_messages": _moved_on,
    "ack_messages": _moved_on,
}
"""What the node learns from the answers to these calls."""

CHANGES_MEMBERSHIP = {"register_peer_node", "unregister_peer_node"}
"""The calls that no renewal may overtake."""
