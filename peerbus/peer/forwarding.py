"""Forwarding: an application's call to its peer node becomes the same call to the indexing server."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from peerbus.endpoints import Endpoint
from peerbus.errors import NotSubscribed, PeerMismatch, PeerNotFound
from peerbus.peer.index import JSON_HEADERS, Index, error_in
from peerbus.peer.membership import Membership
from peerbus.protocol import RegisterRequest
from peerbus.transport import Received
from peerbus.web import Environ, Handler, Reply, read_body

Fields = dict[str, Raw]
"""A request's fields by name, their values as they came."""

_decode_fields = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode
PASSED_ON = {"content-type": "Content-Type", "retry-after": "Retry-After", "allow": "Allow"}
"""The headers of an answer that are the caller's too."""


class NextOffset(msgspec.Struct):
    """The part of an answer that says where the next pull begins."""

    next_offset: int


class Epoch(msgspec.Struct):
    """The part of an answer that says which life of the server it is."""

    epoch: str


def forwarding(endpoint: Endpoint[Any, Any], index: Index, membership: Membership, max_body: int) -> Handler:
    """The handler that forwards an endpoint's calls, with the peer's own id where the call has one.

    What the server answers goes back unchanged, also to a request it refuses. Where it says that this peer or
    its subscription is unknown, though it should not be, that is mended and the call made once more.
    """
    names_peer = endpoint.has_peer_id
    observe = OBSERVERS.get(endpoint.name)

    def handle(environ: Environ) -> Reply:
        body = read_body(environ, max_body)
        query = environ["QUERY_STRING"]
        path = f"{endpoint.path}?{query}" if query else endpoint.path
        headers = _headers(environ, body)
        fields = _fields(body, headers) if names_peer else None
        wait = 0.0
        if fields is not None:
            _fill_in(endpoint, fields, membership)
            body = _encode(fields)
            wait = _seconds(fields.get("wait"))
        received = index.send(endpoint.method, path, body, headers, wait)
        if received.status == 404 and fields is not None and _mend(endpoint, received, fields, membership):
            received = index.send(endpoint.method, path, body, headers, wait)
        if observe:
            observe(membership, fields or {}, received)
        return Reply(
            received.status,
            received.body,
            [(name, received.headers[key]) for key, name in PASSED_ON.items() if key in received.headers],
        )

    return handle


def _headers(environ: Environ, body: bytes) -> tuple[str, ...]:
    content_type = environ.get("CONTENT_TYPE")
    if content_type:
        return (f"Content-Type: {content_type}",)
    return ("Content-Type:",) if body else JSON_HEADERS


def _fields(body: bytes, headers: tuple[str, ...]) -> Fields | None:
    """The fields of a body, or None when it is not an object in JSON: that is for the server to refuse."""
    if "application/json" not in headers[0].lower():
        return None
    try:
        return _decode_fields(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _fill_in(endpoint: Endpoint[Any, Any], fields: Fields, membership: Membership) -> None:
    own = Raw(_encode(membership.peer_id))
    if bytes(fields.setdefault("peer_id", own)) != bytes(own):
        raise PeerMismatch(
            f"This peer node acts for peer '{membership.peer_id}' alone. "
            "Leave `peer_id` out, or call the node of that peer."
        )
    if endpoint.request is RegisterRequest:
        for name, value in msgspec.to_builtins(membership.registration).items():
            fields.setdefault(name, Raw(_encode(value)))


def _seconds(value: Raw | None) -> float:
    try:
        return max(0.0, msgspec.json.decode(value, type=float)) if value else 0.0
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


def _registered(membership: Membership, fields: Fields, received: Received) -> None:
    if received.status == 200:
        registration = msgspec.convert(msgspec.json.decode(_encode(fields)), RegisterRequest)
        membership.joined(registration, msgspec.json.decode(received.body, type=Epoch).epoch)


def _unregistered(membership: Membership, _: Fields, received: Received) -> None:
    if received.status == 200:
        membership.left()


def _subscribed(membership: Membership, fields: Fields, received: Received) -> None:
    if received.status == 200:
        membership.subscribed(_topic(fields), msgspec.json.decode(received.body, type=NextOffset).next_offset)


def _unsubscribed(membership: Membership, fields: Fields, received: Received) -> None:
    if received.status in (200, 410):
        membership.unsubscribed(_topic(fields))


def _pulled(membership: Membership, fields: Fields, received: Received) -> None:
    if received.status == 200:
        membership.pulled(_topic(fields), msgspec.json.decode(received.body, type=NextOffset).next_offset)
    elif received.status == 410:
        membership.unsubscribed(_topic(fields))


OBSERVERS: dict[str, Callable[[Membership, Fields, Received], None]] = {
    "register_peer_node": _registered,
    "unregister_peer_node": _unregistered,
    "subscribe": _subscribed,
    "unsubscribe": _unsubscribed,
    "pull_messages": _pulled,
}
"""What the node learns from the answers to these calls."""
