"""A peer node's line to the indexing server."""

import threading
from pathlib import Path
from typing import TypeVar

import msgspec

from peerbus.errors import CATALOGUE, IndexUnreachable, TooManyWaiting, error_in, timed_out, unreachable
from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.upstream.connection import Received
from peerbus.http.upstream.pool import ConnectionPool, TimedOut, Unreachable
from peerbus.wire.protocol import Answer, Request
from peerbus.wire.tokens import bearer

AnswerT = TypeVar("AnswerT", bound=Answer)

CONNECT_SECONDS = 2.0
REGISTER = "/register_peer_node"
STATUSES = {200} | {error.status for error in CATALOGUE.values()}
"""What the indexing server answers with, and nothing else."""
JSON = "application/json"
JSON_HEADERS = (f"Content-Type: {JSON}",)


class ServerClient:
    """Sends calls to the indexing server over kept connections."""

    def __init__(
        self,
        loop: Loop,
        url: str,
        timeout: float,
        max_waiting: int,
        token: str | None = None,
        ca: Path | None = None,
    ) -> None:
        """Answers are brought in the thread of the loop, which stays its owner's.

        `timeout` is how long an answer may take, in seconds, beside what a call itself waits.

        `max_waiting` calls may wait at once. `token` is what the server wants to see when a peer registers.
        `ca` is a file with the certificates that an https server must have one by; by default the system's.
        """
        self.loop = loop
        self.url = url.rstrip("/")
        self._max_waiting = max_waiting
        self._waiting = threading.BoundedSemaphore(max_waiting)
        self.timeout = timeout
        self.token = token
        self.peer_token: str | None = None
        """What all requests carry but those that register the peer."""
        self.ca = ca
        self._transport = ConnectionPool(loop, CONNECT_SECONDS, ca)

    def send(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: tuple[str, ...],
        wait: float = 0.0,
        *,
        again: bool = False,
        timeout: float | None = None,
    ) -> Future[Received]:
        """Send a call as it is, for `received` to take the answer; `wait` is how long the call itself waits.

        `again` says whether it does no harm to make it twice; `timeout` stands for the usual one. Raises
        `TooManyWaiting`.
        """
        if wait and not self._waiting.acquire(blocking=False):
            raise TooManyWaiting(
                f"{self._max_waiting} pulls are waiting, which is as many as this peer node takes. Pull without `wait`."
            )
        token = self.token if path == REGISTER else self.peer_token
        if token:
            headers = (*headers, f"Authorization: {bearer(token)}")
        seconds = wait + (self.timeout if timeout is None else timeout)
        sent = self._transport.send(method, self.url + path, body, headers, seconds, again)
        if wait:
            sent.add_done_callback(lambda _: self._waiting.release())
        return sent

    def received(self, sent: Future[Received]) -> Received:
        """The answer to what was sent, as it came, waiting for it.

        Raises `IndexUnreachable`, also where something else answers in its place, and `IndexTimeout`.
        """
        try:
            received = sent.result()
        except TimedOut as error:
            raise timed_out(f"The indexing server at {self.url}", error) from None
        except Unreachable as error:
            raise unreachable(f"The indexing server at {self.url}", error) from None
        if received.status not in STATUSES or received.headers.get(b"content-type") != b"application/json":
            raise self.not_ours()
        return received

    def call(self, path: str, request: Request, answer: type[AnswerT], timeout: float | None = None) -> AnswerT:
        """Make a call of the peer node's own; an error of the server's is raised as its class."""
        body = msgspec.json.encode(request)
        sent = self.send("POST", path, body, JSON_HEADERS, again=path == REGISTER, timeout=timeout)
        received = self.received(sent)
        if received.status == 200:
            try:
                return msgspec.json.decode(received.body, type=answer)
            except (msgspec.DecodeError, RecursionError):
                raise self.not_ours() from None
        raise error_in(received.status, received.body)

    @property
    def authorization(self) -> str | None:
        """The header of that name, which shows the peer's token, where there is one."""
        return bearer(self.peer_token) if self.peer_token else None

    def close(self) -> None:
        """Close the connections; calls under way find the server unreachable."""
        self._transport.close()

    def not_ours(self) -> IndexUnreachable:
        """The error for an answer that no indexing server gives."""
        return IndexUnreachable(f"What answers at {self.url} is not a peerbus indexing server.")
