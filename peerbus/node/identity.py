"""The peer that a node's calls are made for: its own, whether a call names it or not."""

from urllib.parse import parse_qsl, quote

import msgspec
from msgspec import Raw

from peerbus.errors import PeerMismatch
from peerbus.node.membership import Fields, Membership

_encode = msgspec.json.Encoder().encode


def fill_in_body(body: bytes, fields: Fields, membership: Membership, registering: bool) -> bytes:
    """The body with the fields that the node fills in; the bytes that came stay unchanged.

    Raises `PeerMismatch` for a body that names another peer.
    """
    if "peer_id" in fields and _names_another(fields["peer_id"], membership.peer_id):
        raise mismatch(membership.peer_id)
    known = membership.registered_with if registering else membership.identified_by
    if known.keys() <= fields.keys():
        return body
    missing = {name: value for name, value in known.items() if name not in fields} if registering else known
    ending = _encode(missing)[1:] if registering else membership.identifying
    return _completed(body, fields, missing, ending)


def fill_in_push(body: bytes, fields: Fields, target: Fields) -> bytes:
    """The body of a subscription, with the fields of `target` if it is explicit and names none of them."""
    if not target or target.keys() & fields.keys() or not _is_explicit(fields):
        return body
    return _completed(body, fields, target, _encode(target)[1:])


def _is_explicit(fields: Fields) -> bool:
    try:
        return bool(msgspec.json.decode(fields["ack"]) == "explicit")
    except (KeyError, msgspec.DecodeError, RecursionError):
        return False


def _completed(body: bytes, fields: Fields, missing: Fields, ending: bytes) -> bytes:
    """The body with the fields that are missing, which `ending` has in JSON."""
    separator = b"," if fields else b""
    fields.update(missing)
    return b"%b%b%b" % (body.rstrip()[:-1] or b"{", separator, ending)


def fill_in_query(query: str, peer_id: str) -> str:
    """The query string with the node's own `peer_id` in it; raises `PeerMismatch` for another."""
    named = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "peer_id"]
    if any(value != peer_id for value in named):
        raise mismatch(peer_id)
    if named:
        return query
    return f"{query}{'&' if query else ''}peer_id={quote(peer_id)}"


def _names_another(value: Raw, peer_id: str) -> bool:
    """Whether a `peer_id` is another peer's; the server refuses one of a wrong type."""
    try:
        given = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return False
    return given is None or (isinstance(given, str) and given != peer_id)


def mismatch(peer_id: str) -> PeerMismatch:
    """The error for a call that names another peer than the node's."""
    return PeerMismatch(
        f"This peer node acts for peer '{peer_id}' alone. Leave `peer_id` out, or call the node of that peer."
    )
