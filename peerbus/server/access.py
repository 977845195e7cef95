"""Access control: the calls that each token allows."""

from collections.abc import Callable
from functools import partial
from hmac import compare_digest
from typing import Any, NamedTuple

from msgspec import UNSET

from peerbus.broker import Broker, Limits, Overview
from peerbus.errors import Forbidden, TopicNotFound, Unauthorized
from peerbus.http.handler import Guard
from peerbus.http.types import Request as HttpRequest
from peerbus.wire.endpoints import Access, Endpoint
from peerbus.wire.protocol import RegisterRequest, Request
from peerbus.wire.tokens import carried, hash_of, new_token, peer_in


class Tokens(NamedTuple):
    """The tokens of a server; without an admin token there is no admin."""

    enrolment: str
    admin: str | None = None
    metrics: str | None = None
    """It permits reading the metrics and `/stats`, and nothing else."""


class Caller(NamedTuple):
    """The bearer of a token: that of an admin, for metrics, of the peer `peer_id`, or else that to register with."""

    token: str
    is_admin: bool = False
    is_for_metrics: bool = False
    peer_id: str | None = None


class AccessControl:
    """Checks the tokens of callers. A comparison takes the same time for every token.

    A token is checked at the head of a request, and again when the request is done: until a body came, or while a
    stream is open, the peer may unregister, and another one may take its id.
    """

    def __init__(self, broker: Overview, tokens: Tokens) -> None:
        self._broker: Overview = broker
        self._enrolment = hash_of(tokens.enrolment)
        self._admin = hash_of(tokens.admin) if tokens.admin else b""
        self._metrics = hash_of(tokens.metrics) if tokens.metrics else b""

    def forget(self) -> None:
        """Know no peer any longer, so that the broker is free to go."""
        self._broker = Broker(Limits())

    def guards(self, endpoint: Endpoint) -> list[Guard]:
        """The guards of one call; they raise `Unauthorized`, and `Forbidden` for a token that does not allow it."""
        if endpoint.access is Access.ANYONE:
            return []
        return [partial(self._admit, endpoint.access)]

    def admit_to_metrics(self, request: HttpRequest) -> None:
        """Admit an admin and a bearer of the metrics token to a page; raises `Unauthorized` and `Forbidden`."""
        _check_head(Access.METRICS, self._caller(request))

    def admit_peer(self, request: HttpRequest) -> None:
        """Admit a peer for itself, and an admin; raises `Unauthorized`, and `Forbidden` once the fields are known."""
        self._admit(Access.PEER, request)

    def check_of_peer(self, peer_id: str) -> Callable[[Request], None]:
        """A check that the peer has the same token as now; it raises `Unauthorized`."""
        return partial(self._check_same, peer_id, self._broker.token_hash(peer_id))

    def _check_same(self, peer_id: str, token_hash: bytes | None, _: Request) -> None:
        if self._broker.token_hash(peer_id) != token_hash:
            raise Unauthorized(f"Peer '{peer_id}' has no token now, or another one than when the ticket was issued.")

    def _admit(self, access: Access, request: HttpRequest) -> None:
        caller = self._caller(request)
        _check_head(access, caller)
        request.checks.append(partial(self._check, access, caller.token))

    def _check(self, access: Access, token: str, fields: Request) -> None:
        CHECKS[access](self._broker, self._known(token), fields)

    def _caller(self, request: HttpRequest) -> Caller:
        """The caller of a request; raises `Unauthorized`."""
        token = carried(request.head.headers.get("authorization", ""))
        if not token:
            raise Unauthorized("This server asks for a token: send it as 'Authorization: Bearer TOKEN'.")
        return self._known(token)

    def _known(self, token: str) -> Caller:
        """The bearer of a token; raises `Unauthorized`."""
        shown = hash_of(token)
        if compare_digest(shown, self._admin):
            return Caller(token, is_admin=True)
        if compare_digest(shown, self._metrics):
            return Caller(token, is_for_metrics=True)
        if compare_digest(shown, self._enrolment):
            return Caller(token)
        peer_id = peer_in(token)
        if compare_digest(shown, self._broker.token_hash(peer_id) or b""):
            return Caller(token, peer_id=peer_id)
        raise Unauthorized(
            "The token is not known. A peer gets its own by POST /register_peer_node with the enrolment token, "
            "and again after its lease ran out or the server lost its state."
        )


def _check_head(access: Access, caller: Caller) -> None:
    """Raise `Forbidden` if the caller's token alone, without the fields of the request, does not permit the call."""
    if caller.is_admin:
        return
    if caller.is_for_metrics and access is not Access.METRICS:
        raise Forbidden("The metrics token permits GET /metrics and GET /stats alone.")
    if access is Access.ADMIN:
        raise Forbidden("This call needs the admin token.")
    if access is Access.METRICS and not caller.is_for_metrics:
        raise Forbidden("This call needs the metrics token or the admin token.")


def _check_newcomer(broker: Overview, caller: Caller, request: Any) -> None:
    """A registration brings a token or gets one; a peer that an admin renews keeps its own."""
    registration: RegisterRequest = request
    if caller.peer_id not in (None, registration.peer_id):
        raise Forbidden(f"The token is that of peer '{caller.peer_id}', not of peer '{registration.peer_id}'.")
    if registration.token is UNSET and caller.is_admin and broker.token_hash(registration.peer_id):
        return
    if registration.token is UNSET:
        registration.token = caller.token if caller.peer_id else new_token(registration.peer_id)
    elif peer_in(registration.token) != registration.peer_id:
        raise Forbidden(
            f"A token of peer '{registration.peer_id}' is its id, a dot and a secret: "
            f"'{registration.peer_id}.' and at least 32 characters in all."
        )


def _check_peer(_: Overview, caller: Caller, request: Any) -> None:
    """A call that may name its peer and does not is made for the caller."""
    named = getattr(request, "peer_id", None)
    if caller.is_admin or named == caller.peer_id:
        return
    if caller.peer_id is None:
        raise Forbidden(f"This call needs the token of peer '{named}', which registering it gave.")
    if named is not None:
        raise Forbidden(f"The token is that of peer '{caller.peer_id}', not of peer '{named}'.")
    if "peer_id" in request.__struct_fields__:
        request.peer_id = caller.peer_id


def _check_self(broker: Overview, caller: Caller, request: Any) -> None:
    if not caller.is_admin and caller.peer_id is None:
        raise Forbidden("This call needs the token of a peer, which registering it gave, or that of an admin.")
    _check_peer(broker, caller, request)


def _check_leaving(broker: Overview, caller: Caller, request: Any) -> None:
    """A group that is named is ended for all of its members."""
    group = request.group
    if group is None:
        _check_peer(broker, caller, request)
    elif not (caller.is_admin or caller.peer_id in broker.members(request.topic, group)):
        _check_owner(broker, caller, request)


def _check_owner(broker: Overview, caller: Caller, request: Any) -> None:
    if caller.is_admin:
        return
    try:
        creator = broker.topic_creator(request.topic)
    except TopicNotFound:
        return
    if creator is None or creator != caller.peer_id:
        raise Forbidden(
            f"Topic '{request.topic}' can be deleted, and its groups ended, by the peer that created it, or with the "
            "admin token."
        )


def _check_nothing(_: Overview, __: Caller, ___: Any) -> None:
    """The guard has checked all there is."""


CHECKS: dict[Access, Callable[[Overview, Caller, Any], None]] = {
    Access.NEWCOMER: _check_newcomer,
    Access.PEER: _check_peer,
    Access.SELF: _check_self,
    Access.LEAVING: _check_leaving,
    Access.OWNER: _check_owner,
    Access.METRICS: _check_nothing,
    Access.ADMIN: _check_nothing,
}
