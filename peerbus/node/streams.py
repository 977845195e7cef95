"""Streams of a peer node: the indexing server's, sent on."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from peerbus.errors import NotReady, NotSubscribed, PeerNotFound, Unauthorized, error_in
from peerbus.http.event_stream import PATH, Wanted
from peerbus.http.passing_on import SILENCE_SECONDS, ForwardedStream, check_subscribed
from peerbus.http.upstream.body_stream import BodyStream
from peerbus.node.membership import Membership
from peerbus.node.server_client import ServerClient
from peerbus.wire.protocol import StreamRequest

T = TypeVar("T")


class ForwardedStreams:
    """Makes streams of the indexing server's for this node's peer."""

    def __init__(self, client: ServerClient, membership: Membership, workers: Executor) -> None:
        """`workers` run work that blocks."""
        self._client = client
        self._workers = workers
        self._membership = membership
        self._open: set[BodyStream] = set()
        self._is_closed = False

    async def open(self, wanted: Wanted) -> ForwardedStream:
        """A stream of the peer's message queue; raises the error that the indexing server refuses it with."""
        upstream = await self._restoring(wanted.request.topic, partial(self._opened, wanted))
        if self._is_closed:
            upstream.close()
            raise NotReady("The peer node is stopping.")
        self._open.add(upstream)
        return ForwardedStream(upstream, self._client.failure, self._ended)

    async def check(self, wanted: Wanted) -> None:
        """Raise the error that the indexing server would refuse the stream with."""
        await self._restoring(wanted.request.topic, partial(self._looked_up, wanted.request))

    def close(self) -> None:
        """End all streams. Called in any thread."""
        self._client.loop.call(self._close)

    def _ended(self, upstream: BodyStream) -> None:
        """A stream ended, from either side."""
        self._open.discard(upstream)
        upstream.close()

    async def _restoring(self, topic: str, ask: Callable[[], Awaitable[T]]) -> T:
        """The indexing server's answer; it is asked again if it lost a peer or a subscription that can be restored."""
        try:
            return await ask()
        except (PeerNotFound, NotSubscribed, Unauthorized) as error:
            lost = topic if isinstance(error, NotSubscribed) else None
            if not (self._membership.can_restore(lost) and await self._renewed()):
                raise
        return await ask()

    async def _opened(self, wanted: Wanted) -> BodyStream:
        request = wanted.request
        fields = {"topic": request.topic, "peer_id": request.peer_id, "in_flight": request.in_flight}
        query = urlencode(fields | {"details": "true"} if request.details else fields)
        headers = () if wanted.last_id is None else (f"Last-Event-ID: {wanted.last_id}",)
        return await self._client.open(f"{PATH}?{query}", headers, SILENCE_SECONDS)

    async def _looked_up(self, request: StreamRequest) -> None:
        query = urlencode({"topic": request.topic, "peer_id": request.peer_id})
        sent = self._client.send("GET", f"/subscriptions?{query}", b"", (), repeatable=True)
        await self._client.loop.result_of(sent.follow(lambda _: None))
        received = self._client.received(sent)
        if received.status != 200:
            raise error_in(received.status, received.body)
        try:
            check_subscribed(request, received.body)
        except msgspec.DecodeError:
            raise self._client.not_ours() from None

    async def _renewed(self) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._workers, self._membership.renew)

    def _close(self) -> None:
        self._is_closed = True
        for upstream in list(self._open):
            upstream.close()
