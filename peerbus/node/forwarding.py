"""Forwarding: an application's call to its peer node becomes the same call to the indexing server."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import cache, partial
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Raw

from peerbus.errors import NotSubscribed, PeerNotFound, Unauthorized, error_in
from peerbus.future import Future, pass_on, settle
from peerbus.http.handler import Guard
from peerbus.http.passing_on import JSON, quoted, reply_to, wait_in
from peerbus.http.types import ADDED, Reply, Request
from peerbus.http.upstream.exchange import Response
from peerbus.node.answer_hooks import ANSWER_HOOKS, Answered, topic_of
from peerbus.node.identity import fill_in_body, fill_in_push, fill_in_query
from peerbus.node.membership import Fields, Membership
from peerbus.node.requeue import Requeue
from peerbus.node.server_client import JSON_HEADERS, ServerClient
from peerbus.wire.endpoints import Endpoint
from peerbus.wire.protocol import RegisterRequest

T = TypeVar("T")

log = logging.getLogger(__name__)

SMALL = 64 << 10
"""Bytes of a body that is decoded however many fields it has."""
UNKNOWN = {Unauthorized.status, 404}
"""The statuses of an unknown peer or subscription."""
CHANGES_MEMBERSHIP = {"register_peer_node", "unregister_peer_node"}
"""The calls that may not run beside a renewal."""

_decode_fields = msgspec.json.Decoder(Fields).decode


class Call(NamedTuple):
    """A call to be sent on; `fields` are None for a body that the server will refuse, and for a call without a peer."""

    path: str
    body: bytes
    headers: tuple[str, ...]
    wait: float
    fields: Fields | None


class Forwarding:
    """The handler that forwards an endpoint's calls, with the peer's own id where the call has one.

    Answers and errors of the server go back unchanged. If the server does not know this peer or its subscription
    though it should, the node registers or subscribes again, and makes the call once more.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        index: ServerClient,
        membership: Membership,
        requeue: Requeue,
        max_body: int,
        workers: Executor,
        guards: Sequence[Guard] = (),
        push_target: Fields | None = None,
    ) -> None:
        """`workers` run calls that may block. `push_target` has the fields that explicit subscriptions get."""
        self._name = endpoint.name
        self._path = endpoint.path
        self._has_peer_id = endpoint.has_peer_id
        self._push_target = push_target or {}
        self._in_query = endpoint.has_peer_id and endpoint.method == "GET"
        self._registers = endpoint.request is RegisterRequest
        self._index = index
        self._membership = membership
        self._undelivered = requeue
        self.guards = guards
        self.max_body = max_body
        self._workers = workers
        self._hook = ANSWER_HOOKS.get(endpoint.name)
        self._alone = endpoint.name in CHANGES_MEMBERSHIP
        self._send = partial(index.send, endpoint.method, repeatable=endpoint.repeatable)
        self._request: type[msgspec.Struct] = endpoint.request

    def __call__(self, request: Request) -> Future[Reply]:
        """Forward one call; raises `PeerMismatch` and `TooManyWaiting`."""
        call = self._call(request)
        request.waits = bool(call.wait)
        if self._alone:
            return self._in_a_worker(partial(self._forward_alone, call))
        return self._forward(call)

    def _call(self, request: Request) -> Call:
        body, query = request.body, request.head.query
        content_type = request.head.headers.get("content-type")
        headers = JSON_HEADERS if content_type == JSON else _headers(content_type, body)
        fields: Fields | None = None
        wait = 0.0
        if self._in_query and not body:
            query = fill_in_query(query, self._membership.peer_id)
            fields = {}
        elif self._has_peer_id and (fields := self._fields(body, headers)) is not None:
            body = fill_in_body(body, fields, self._membership, self._registers)
            body = fill_in_push(body, fields, self._push_target)
            wait = wait_in(fields["wait"]) if "wait" in fields else 0.0
            if (added := len(body) - len(request.body)) > 0:
                headers = (*headers, f"{ADDED}: {added}")
        return Call(f"{self._path}?{quoted(query)}" if query else self._path, body, headers, wait, fields)

    def _forward(self, call: Call, mends: bool = True) -> Future[Reply]:
        was_known = self._is_known(call) if self._hook else False
        sent = self._send(call.path, call.body, call.headers, call.wait)
        return sent.follow(partial(self._answer, call, was_known, mends))

    def _fields(self, body: bytes, headers: tuple[str, ...]) -> Fields | None:
        """The fields of a body, or None if it is no JSON object: the server refuses that.

        A large body with fields that the call does not have is left to the server, too: decoding any number of
        fields would hold the loop.
        """
        if headers is not JSON_HEADERS and JSON not in headers[0].lower():
            return None
        try:
            text = body if body.isascii() else body.decode()
            if len(body) <= SMALL:
                return _decode_fields(text) if body else {}
            known = _decoder_of_known(self._request).decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        fields = zip(known.__struct_encode_fields__, msgspec.structs.astuple(known), strict=True)
        return {name: value for name, value in fields if value}

    def _answer(self, call: Call, was_known: bool, mends: bool, sent: Future[Response]) -> Reply | Future[Reply]:
        """The reply to a call whose answer came; runs in the loop."""
        received = self._index.received(sent)
        if received.status not in UNKNOWN or not (mends and self._can_mend(call, received)):
            return self._reply(call, was_known, received)

        def repeat(mended: bool) -> Reply | Future[Reply]:
            return self._forward(call, mends=False) if mended else self._reply(call, was_known, received)

        return self._in_a_worker(self._membership.renew).then(repeat)

    def _in_a_worker(self, make: Callable[[], T]) -> Future[T]:
        """Run `make` in a worker; the future is set in the loop."""
        brought: Future[T] = Future()

        def bring(made: Future[T]) -> None:
            if not self._index.loop.call(pass_on, brought, made):
                pass_on(brought, made)

        made: Future[T] = Future()
        made.add_done_callback(bring)
        self._workers.submit(settle, made, make)
        return brought

    def _forward_alone(self, call: Call) -> Reply:
        """Forward a call that may not run beside a renewal; blocks."""
        with self._membership.unchanging():
            received = self._index.received(self._send(call.path, call.body, call.headers))
            if self._can_mend(call, received) and self._membership.renew():
                received = self._index.received(self._send(call.path, call.body, call.headers))
            return self._reply(call, False, received)

    def _can_mend(self, call: Call, received: Response) -> bool:
        """Whether the server lost a peer or a subscription that the node can restore."""
        if received.status == Unauthorized.status:
            return self._index.token is not None and self._membership.can_restore(None)
        if received.status != 404 or call.fields is None or self._name == "unregister_peer_node":
            return False
        code = error_in(received.status, received.body).code
        if code == PeerNotFound.code:
            return self._membership.can_restore(None)
        if code != NotSubscribed.code or "topic" not in call.fields:
            return False
        return self._membership.can_restore(topic_of(call.fields))

    def _is_known(self, call: Call) -> bool:
        """Whether the node knows the subscription that a call is about."""
        topic = call.fields.get("topic") if call.fields else None
        return topic is not None and bytes(topic)[1:-1].decode() in self._membership.subscriptions

    def _reply(self, call: Call, was_known: bool, received: Response) -> Reply:
        if self._hook and call.fields is not None:
            try:
                self._hook(Answered(self._membership, was_known, call.fields, received))
            except msgspec.DecodeError:
                raise self._index.not_ours() from None
            except RecursionError:
                log.warning("An answer is nested too deeply to learn from; it goes on as it came.")
        on_lost = None
        if call.wait and call.fields:  # the messages of a waiting pull, if its caller is gone
            on_lost = partial(self._undelivered.hand_back, topic_of(call.fields), received.body)
        return reply_to(received, on_lost)


def _headers(content_type: str | None, body: bytes) -> tuple[str, ...]:
    if not body:
        return JSON_HEADERS
    return (f"Content-Type: {content_type}",) if content_type else ("Content-Type:",)


@cache
def _decoder_of_known(request: type[msgspec.Struct]) -> msgspec.json.Decoder[msgspec.Struct]:
    """A decoder for the fields of a request that leaves their values undecoded, empty for absent fields."""
    names = dict(zip(request.__struct_fields__, request.__struct_encode_fields__, strict=True))
    fields = [(name, Raw, Raw(b"")) for name in names]
    return msgspec.json.Decoder(msgspec.defstruct(request.__name__, fields, rename=names, forbid_unknown_fields=True))
