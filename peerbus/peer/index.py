"""A peer node's line to the indexing server."""

import threading
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from peerbus.errors import CATALOGUE, IndexTimeout, IndexUnreachable, InternalError, TooManyWaiting
from peerbus.protocol import Answer, ErrorAnswer, Request
from peerbus.transport import Received, TimedOut, Transport, Unreachable

AnswerT = TypeVar("AnswerT", bound=Answer)

CONNECT_SECONDS = 2.0
STATUSES = {200} | {error.status for error in CATALOGUE.values()}
"""What the indexing server answers with, and nothing else."""
JSON_HEADERS = ("Content-Type: application/json",)
_decode_error = msgspec.json.Decoder(ErrorAnswer).decode


class Index:
    """Sends calls to the indexing server over kept connections."""

    def __init__(self, url: str, timeout: float, max_waiting: int) -> None:
        """`timeout` is how long an answer may take, in seconds, beside what a call itself waits.

        `max_waiting` calls may wait at once.
        """
        self.url = url.rstrip("/")
        self._max_waiting = max_waiting
        self._waiting = threading.BoundedSemaphore(max_waiting)
        self.timeout = timeout
        self._transport = Transport(CONNECT_SECONDS)

    def send(self, method: str, path: str, body: bytes, headers: Sequence[str], wait: float = 0.0) -> Received:
        """Send a call as it is and return the answer as it came; `wait` is how long the call itself waits.

        Raises `IndexUnreachable`, also where something else answers in its place, `IndexTimeout`, and
        `TooManyWaiting`.
        """
        if not wait:
            return self._send(method, path, body, headers, self.timeout)
        if not self._waiting.acquire(blocking=False):
            raise TooManyWaiting(
                f"{self._max_waiting} pulls are waiting, which is as many as this peer node takes. Pull without `wait`."
            )
        try:
            return self._send(method, path, body, headers, wait + self.timeout)
        finally:
            self._waiting.release()

    def call(self, path: str, request: Request, answer: type[AnswerT], timeout: float | None = None) -> AnswerT:
        """Make a call of the peer node's own; an error of the server's is raised as its class."""
        body = msgspec.json.encode(request)
        received = self._send("POST", path, body, JSON_HEADERS, self.timeout if timeout is None else timeout)
        if received.status == 200:
            try:
                return msgspec.json.decode(received.body, type=answer)
            except msgspec.DecodeError:
                raise self.not_ours() from None
        error = error_in(received)
        raise CATALOGUE.get(error.code, InternalError)(error.message)

    def close(self) -> None:
        """Close the connections that no call is using."""
        self._transport.close()

    def _send(self, method: str, path: str, body: bytes, headers: Sequence[str], timeout: float) -> Received:
        try:
            received = self._transport.send(method, self.url + path, body, headers, timeout)
        except TimedOut:
            raise IndexTimeout(
                f"The indexing server at {self.url} did not answer within {timeout:g} seconds."
            ) from None
        except Unreachable as error:
            raise IndexUnreachable(f"The indexing server at {self.url} cannot be reached: {error}.") from None
        if received.status not in STATUSES or received.headers.get("content-type") != "application/json":
            raise self.not_ours()
        return received

    def not_ours(self) -> IndexUnreachable:
        """The error for an answer that no indexing server gives."""
        return IndexUnreachable(f"What answers at {self.url} is not a peerbus indexing server.")


def error_in(received: Received) -> ErrorAnswer:
    """The error in an answer that is one; what is not ours to read counts as an internal error."""
    try:
        return _decode_error(received.body)
    except msgspec.DecodeError:
        return ErrorAnswer(InternalError.code, f"The answer with status {received.status} is not peerbus's.")
