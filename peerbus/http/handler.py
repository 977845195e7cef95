"""Handlers: from a request whose body came to the reply."""

import logging
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from peerbus.future import Future
from peerbus.http.event_loop import Steps
from peerbus.http.reply import success
from peerbus.http.request import check_media_type, check_no_query, decode_body, decode_query
from peerbus.http.types import Reply, Request
from peerbus.wire.endpoints import Access, Endpoint
from peerbus.wire.protocol import Answer, PullRequest

log = logging.getLogger(__name__)

MOST_OF_ANYONE = 1 << 16
"""Bytes of the largest body of a call that needs no token."""
Guard = Callable[[Request], None]
"""Admits a request by its head and its client, or raises; it may add to the request's `checks`."""


class Handover(Struct, gc=False):
    """An answer that hands messages over; `on_lost` is called if the client does not get it.

    `values` are its messages; the answer itself has none.
    """

    answer: Answer
    values: Sequence[bytes] = ()
    on_lost: Callable[[], None] | None = None


class Pending(NamedTuple):
    """An answer that comes later: `make` makes it of the value of `future`."""

    future: Future[Any]
    make: Callable[[Any], Handover]


Call = Callable[[Any], Answer | Handover | Pending | Steps[Answer]]
"""Serves a request: at once, later, or in steps of a few milliseconds each."""
Commit = Callable[[Reply], Reply | Future[Reply]]
"""Holds a reply back until the changes that it reports are on disk."""


class Handler(Protocol):
    """Answers the requests of one endpoint."""

    guards: Sequence[Guard]
    """Those of the endpoint itself, in their order."""
    max_body: int
    """Bytes of the largest body that is taken."""

    def __call__(self, request: Request) -> Reply | Future[Reply]:
        """Answer a request that was admitted, now or later; raises the error of a wrong one."""


class CallHandler:
    """Decodes a request, gives it to a call, and logs the answer.

    The fields come from the body; GET and DELETE take them from the query string where there is no body.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        call: Call,
        max_body: int,
        run_steps: Callable[[Steps[Answer]], Future[Answer]],
        commit: Commit = lambda reply: reply,
        guards: Sequence[Guard] = (),
    ) -> None:
        """`run_steps` runs the calls that go in steps; `commit` is given the replies of calls that change something."""
        self.guards = guards
        self.max_body = min(max_body, MOST_OF_ANYONE) if endpoint.access is Access.ANYONE else max_body
        self._call = call
        self._run_steps = run_steps
        self._commit = commit
        self._fields = endpoint.request
        self._decoder = msgspec.json.Decoder(endpoint.request)
        self._is_post = endpoint.method == "POST"
        self._changes = endpoint.changes
        self._level = endpoint.level if endpoint.changes else logging.DEBUG

    def __call__(self, request: Request) -> Reply | Future[Reply]:
        """Answer a request that was admitted, now or later; raises the error of a wrong one."""
        body, head = request.body, request.head
        if body:
            check_media_type(head)
        if body or self._is_post:
            check_no_query(head)
            fields = decode_body(body or b"{}", self._decoder)
        else:
            fields = decode_query(head.query, self._fields)
        for check in request.checks:
            check(fields)
        if isinstance(fields, PullRequest) and fields.wait:
            request.waits = True
        result = self._call(fields)
        if isinstance(result, Answer):
            return self._finish(result)
        if isinstance(result, Handover):
            return self._hand_over(result)
        if isinstance(result, Generator):
            return self._run_steps(result).then(self._finish)
        future, make = result
        return future.then(lambda value: self._hand_over(make(value)))

    def _hand_over(self, done: Handover) -> Reply | Future[Reply]:
        return self._finish(done.answer, done.values, done.on_lost)

    def _finish(
        self, answer: Answer, values: Sequence[bytes] = (), on_lost: Callable[[], None] | None = None
    ) -> Reply | Future[Reply]:
        if log.isEnabledFor(self._level):
            log.log(self._level if getattr(answer, "created", True) else logging.DEBUG, "%s", answer.message)
        reply = success(answer, values, on_lost)
        return self._commit(reply) if self._changes else reply
