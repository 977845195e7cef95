"""A peer node's client of the indexing server."""

from pathlib import Path
from typing import TypeVar

import msgspec

from peerbus.errors import IndexUnreachable, PeerbusError, error_in
from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.event_stream import CONTENT_TYPE
from peerbus.http.passing_on import JSON, WaitingPlaces, failure, is_answer, media_type
from peerbus.http.upstream.body_stream import BodyStream
from peerbus.http.upstream.errors import UpstreamError
from peerbus.http.upstream.exchange import Response
from peerbus.http.upstream.pool import ConnectionPool
from peerbus.wire.protocol import Answer, Request
from peerbus.wire.tokens import bearer

AnswerT = TypeVar("AnswerT", bound=Answer)

CONNECT_SECONDS = 2.0
REGISTER = "/register_peer_node"
JSON_HEADERS = (f"Content-Type: {JSON}",)


class ServerClient:
    """Sends calls to the indexing server over kept connections, and opens its streams."""

    def __init__(
        self,
        loop: Loop,
        url: str,
        timeout: float,
        max_waiting: int,
        token: str | None = None,
        ca: Path | None = None,
    ) -> None:
        """Responses are delivered in the thread of `loop`, which the caller closes after this client.

        `timeout` is in seconds, for each response, in addition to the time that a call itself waits. At most
        `max_waiting` calls wait at once. `token` is the token to register with. `ca` is a file with certificates,
        one of which an https server's must be signed by; by default those that the system trusts.
        """
        self.loop = loop
        self.url = url.rstrip("/")
        self._waiting = WaitingPlaces(max_waiting, "peer node")
        self.timeout = timeout
        self.token = token
        self.peer_token: str | None = None
        """The token in all requests but those that register the peer."""
        self.ca = ca
        self._pool = ConnectionPool(loop, CONNECT_SECONDS, ca)

    def send(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: tuple[str, ...],
        wait: float = 0.0,
        *,
        repeatable: bool = False,
        timeout: float | None = None,
    ) -> Future[Response]:
        """Send a call unchanged; `received` takes its response. `wait` is how many seconds the call itself waits.

        A `repeatable` call may be sent twice. `timeout` replaces the client's. Raises `TooManyWaiting`.
        """
        if wait:
            self._waiting.take()
        token = self.token if path == REGISTER else self.peer_token
        if token:
            headers = (*headers, f"Authorization: {bearer(token)}")
        seconds = wait + (self.timeout if timeout is None else timeout)
        sent = self._pool.send(method, self.url + path, body, headers, seconds, repeatable)
        if wait:
            sent.add_done_callback(lambda _: self._waiting.free())
        return sent

    def received(self, sent: Future[Response]) -> Response:
        """Wait for the response to a call, of any status the indexing server has.

        Raises `IndexTimeout`, and `IndexUnreachable`, which includes a response that is not an indexing server's.
        """
        error = sent.exception()
        if isinstance(error, UpstreamError):
            raise self.failure(error)
        response = sent.result()
        if not is_answer(response):
            raise self.not_ours()
        return response

    def call(self, path: str, request: Request, answer: type[AnswerT], timeout: float | None = None) -> AnswerT:
        """Make a call of the peer node's own and wait for its answer.

        Raises the server's error as its class, `IndexUnreachable` and `IndexTimeout`.
        """
        body = msgspec.json.encode(request)
        response = self.received(
            self.send("POST", path, body, JSON_HEADERS, repeatable=path == REGISTER, timeout=timeout)
        )
        if response.status != 200:
            raise error_in(response.status, response.body)
        try:
            return msgspec.json.decode(response.body, type=answer)
        except (msgspec.DecodeError, RecursionError):
            raise self.not_ours() from None

    async def open(self, path: str, headers: tuple[str, ...], silence: float) -> BodyStream:
        """Open an event stream, which times out after `silence` seconds without a byte. Await in the loop.

        Raises the server's error as its class, `IndexUnreachable` and `IndexTimeout`. The errors that reading the
        stream raises are turned into such by `failure`.
        """
        if self.peer_token:
            headers = (*headers, f"Authorization: {bearer(self.peer_token)}")
        try:
            opened = await self._pool.open(self.url + path, headers, self.timeout, silence)
        except UpstreamError as error:
            raise self.failure(error) from None
        if isinstance(opened, Response):
            raise error_in(opened.status, opened.body) if is_answer(opened) else self.not_ours()
        if media_type(opened) != CONTENT_TYPE:
            opened.close()
            raise self.not_ours()
        return opened

    def close(self) -> None:
        """Close the connections; calls and streams under way fail."""
        self._pool.close()

    def failure(self, error: UpstreamError) -> PeerbusError:
        """The error of the catalogue for a request or a stream that failed on the way."""
        return failure(error, f"The indexing server at {self.url}", "The peer node is stopping.")

    def not_ours(self) -> IndexUnreachable:
        """The error for a response that no indexing server gives."""
        return IndexUnreachable(f"What answers at {self.url} is not a peerbus indexing server.")
