"""The time for which a server owns the shard: what it answers then counts, and what it cannot answer goes on."""

from collections.abc import Mapping, Sequence
from functools import partial
from time import perf_counter
from typing import NamedTuple

import msgspec

from peerbus.cluster.call import FORWARDED
from peerbus.cluster.forwarding import Forwarding
from peerbus.cluster.routing import Failure
from peerbus.cluster.streams import LastingStream, PassedStreams
from peerbus.errors import IndexTimeout, PeerbusError, ShardUnavailable
from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.event_stream import Source, Stream, Wanted
from peerbus.http.handler import Guard, Handler
from peerbus.http.types import Reply, Request
from peerbus.storage.group_commit import InMemory
from peerbus.wire.endpoints import Endpoint
from peerbus.wire.protocol import PullAnswer


class _Owned(NamedTuple):
    source: Source
    journal: InMemory


class Tenure:
    """Wraps the calls and streams of a service for as long as its server owns the shard.

    A call or a stream that the end of the tenure reaches goes on at the next owner, where that may be.
    """

    def __init__(self, journal: InMemory, forwarding: Mapping[Endpoint, Forwarding], streams: PassedStreams) -> None:
        """`forwarding` and `streams` pass on what is passed on; other endpoints are left as they are."""
        self.is_over = False
        self.passed = streams
        self.owned: _Owned | None = None
        """The service's source of streams with its journal, until the tenure is over."""
        self._journal = journal
        self._forwarding = forwarding

    def call(self, endpoint: Endpoint, handler: Handler) -> Handler:
        """The handler of an endpoint, in place of that of the service."""
        found = self._forwarding.get(endpoint)
        return OwnersCall(self, self._journal, handler, found, changes=endpoint.changes) if found else handler

    def streams(self, source: Source) -> Source:
        """The source of streams, in place of that of the service."""
        self.owned = _Owned(source, self._journal)
        return OwnersStreams(self)

    def end(self) -> None:
        """Let the service answer nothing more; streams that go on elsewhere do not keep its state."""
        self.is_over, self.owned, self._journal = True, None, InMemory()


class OwnersCall:
    """The handler of an endpoint at the owner.

    A reply or an error that tells of the state is given only if the log was still this server's when it was made. That
    holds for the errors of guards, too, unless they refuse a body before it comes.
    """

    def __init__(
        self, tenure: Tenure, journal: InMemory, handler: Handler, forwarding: Forwarding, *, changes: bool
    ) -> None:
        self.guards: Sequence[Guard] = [self._admit_body]
        self.max_body = handler.max_body
        self._tenure = tenure
        self._journal = journal
        self._handler = handler
        self._forwarding = forwarding
        self._changes = changes

    def __call__(self, request: Request) -> Reply | Future[Reply]:
        """Answer a request that was admitted; raises the error of a wrong one."""
        if self._tenure.is_over:
            return self._forwarding(request)
        try:
            if not request.is_admitted:
                self._admit(request)
            made = self._handler(request)
        except PeerbusError as error:
            return self._confirm(request, error)
        return made.follow(partial(self._made, request)) if isinstance(made, Future) else self._confirm(request, made)

    def _admit_body(self, request: Request) -> None:
        if request.head.has_body and not request.body:
            self._admit(request)

    def _admit(self, request: Request) -> None:
        for guard in self._handler.guards:
            guard(request)

    def _made(self, request: Request, made: Future[Reply]) -> Reply | Future[Reply]:
        error = made.exception()
        if error is None:
            return self._confirm(request, made.result())
        if isinstance(error, PeerbusError) and not isinstance(error, (ShardUnavailable, IndexTimeout)):
            return self._confirm(request, error)
        return self._elsewhere(request, error)

    def _confirm(self, request: Request, made: Reply | PeerbusError) -> Reply | Future[Reply]:
        """The reply that was made, once the log is known to be ours, which the journal ensured for changes."""
        if self._changes and isinstance(made, Reply):
            return self._given(request, made)
        kept = self._journal.after_commit(made)
        return kept.follow(partial(self._kept, request)) if isinstance(kept, Future) else self._given(request, kept)

    def _kept(self, request: Request, kept: Future[Reply | PeerbusError]) -> Reply | Future[Reply]:
        error = kept.exception()
        return self._elsewhere(request, error) if error else self._given(request, kept.result())

    def _given(self, request: Request, made: Reply | PeerbusError) -> Reply | Future[Reply]:
        if isinstance(made, PeerbusError):
            raise made
        if self._tenure.is_over and request.waits and _is_empty(made):
            return self._elsewhere(request, ShardUnavailable("Another server takes over; the pull got nothing."))
        return made

    def _elsewhere(self, request: Request, error: Exception) -> Future[Reply]:
        """Have the next owner answer, unless the server that passed the call on to this one sees to it."""
        if FORWARDED in request.head.headers or not isinstance(error, (ShardUnavailable, IndexTimeout)):
            raise error
        failed = Failure(error, may_be_done=isinstance(error, IndexTimeout))
        return self._forwarding.go_on(request, failed, perf_counter() - request.began)


def _is_empty(reply: Reply) -> bool:
    """Whether a reply to a pull hands nothing over."""
    if reply.status != 200 or not isinstance(reply.body, bytes):
        return False
    pulled = msgspec.json.decode(reply.body, type=PullAnswer)
    return not (pulled.offsets or pulled.missed)


class OwnersStreams:
    """The source of streams at the owner."""

    def __init__(self, tenure: Tenure) -> None:
        self._tenure = tenure

    async def open(self, wanted: Wanted) -> Stream:
        """A stream that goes on at the next owner; raises the error that the reader is refused with."""
        passed, owned = self._tenure.passed, self._tenure.owned
        if owned is None:
            return await passed.open(wanted)
        try:
            opened = await _opened(owned, wanted, passed.routing.loop)
        except ShardUnavailable:
            return await passed.open(wanted)
        return opened if FORWARDED in wanted.head.headers else LastingStream(passed, wanted, opened)

    async def check(self, wanted: Wanted) -> None:
        """Raise the error that the reader would be refused with; hand nothing over."""
        owned = self._tenure.owned
        await (owned.source if owned else self._tenure.passed).check(wanted)


async def _opened(owned: _Owned, wanted: Wanted, loop: Loop) -> Stream:
    """A stream of the service; raises its error, or `ShardUnavailable` if the log was another server's by then."""
    try:
        return await owned.source.open(wanted)
    except PeerbusError as error:
        kept = owned.journal.after_commit(error)
        raise await loop.result_of(kept) if isinstance(kept, Future) else kept from None
