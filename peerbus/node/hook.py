"""The application's hook: a node passes messages that the server pushes on to it."""

import secrets
from collections.abc import Callable, Sequence
from http import HTTPStatus

import msgspec
from msgspec import Raw, Struct

from peerbus.errors import HookTimeout, HookUnreachable, NotFound, NotReady, Unauthorized
from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.handler import Guard
from peerbus.http.reply import JSON as JSON_REPLY
from peerbus.http.types import Reply, Request
from peerbus.http.upstream.errors import TimedOut
from peerbus.http.upstream.exchange import Response
from peerbus.http.upstream.pool import ConnectionPool
from peerbus.node.membership import Fields
from peerbus.wire.protocol import Answer
from peerbus.wire.signature import HEADER, verify_signature

CONNECT_SECONDS = 2.0
TIMEOUT_SECONDS = 30.0
"""More than the server waits."""
MAX_RESPONSE_BYTES = 1 << 16
ENVELOPE_BYTES = 1 << 20
"""Bytes by which the body of a push may exceed the bodies of other calls: a message comes with its details."""
SECRET_BYTES = 32
KNOWN_STATUSES = {int(status) for status in HTTPStatus}
WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


class Topic(Struct):
    """The part of a push that says which topic it is about."""

    topic: str


class Hook:
    """Answers `POST /push` as the application does at its hook, if the signature is the server's.

    Pushes are signed with a secret of this run of the node, which it names when it subscribes.
    """

    guards: Sequence[Guard] = ()

    def __init__(
        self,
        loop: Loop,
        url: str | None,
        own_address: str,
        max_body: int,
        is_pushed: Callable[[str], bool],
    ) -> None:
        """`url` is the application's, None if it has no hook. `is_pushed` knows the topics that this run subscribed."""
        self.max_body = max_body + ENVELOPE_BYTES
        self._url = url
        self._is_pushed = is_pushed
        self._closing = False
        self._secret = secrets.token_urlsafe(SECRET_BYTES)
        target = {"push_to": f"{own_address}/push", "push_secret": self._secret}
        self.fields: Fields = {name: Raw(msgspec.json.encode(value)) for name, value in target.items()} if url else {}
        """The fields that explicit subscriptions get if they name no `push_to`; none without a hook."""
        self._pool = ConnectionPool(loop, CONNECT_SECONDS, max_response_bytes=MAX_RESPONSE_BYTES)

    def __call__(self, request: Request) -> Future[Reply]:
        """Pass a push on; raises `NotFound`, `Unauthorized` and `NotReady`."""
        if self._url is None:
            raise NotFound("This peer node takes no pushed messages: it was started without --push-to.")
        header = request.head.headers.get(HEADER.lower(), "")
        if not verify_signature(request.body, header, self._secret):
            raise self._refusal(request.body)
        headers = ("Content-Type: application/json", f"{HEADER}: {header}")
        sent = self._pool.send("POST", self._url, request.body, headers, TIMEOUT_SECONDS, repeatable=True)
        return sent.follow(self._answer)

    def close(self) -> None:
        """Close the connections; pushes under way are refused, so that they come again as the same attempt."""
        self._closing = True
        self._pool.close()

    def _refusal(self, body: bytes) -> Unauthorized | NotReady:
        """The error for a signature that is not valid: an earlier run may have subscribed, with another secret."""
        try:
            topic = msgspec.json.decode(body, type=Topic).topic
        except (msgspec.DecodeError, RecursionError):
            topic = ""
        if not topic or self._is_pushed(topic):
            return Unauthorized(f"The header {HEADER} is no valid signature of this push.")
        return NotReady("This run of the peer node has not subscribed to this topic yet.")

    def _answer(self, sent: Future[Response]) -> Reply:
        error = sent.exception()
        if error and self._closing:
            raise NotReady("The peer node is stopping.")
        if isinstance(error, TimedOut):
            raise HookTimeout(f"The application's hook at {self._url} gave {error}.")
        if error:
            raise HookUnreachable(f"The application's hook at {self._url} cannot be reached: {error}.")
        status = sent.result().status
        if status not in KNOWN_STATUSES:
            raise HookUnreachable(f"The application's hook at {self._url} answered {status}, which is no status.")
        retry_after = sent.result().headers.get(b"retry-after")
        headers = [*JSON_REPLY]
        if retry_after is not None:
            headers.append(("Retry-After", retry_after.decode("latin-1")))
        if status in WITHOUT_BODY:
            return Reply(status, b"", [])
        return Reply(status, msgspec.json.encode(Answer(f"The application answered {status}.")), headers)
