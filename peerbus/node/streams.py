"""Streams of a peer node: the indexing server's, sent on."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

from peerbus.errors import (
    CATALOGUE,
    IndexTimeout,
    IndexUnreachable,
    InternalError,
    NotReady,
    NotSubscribed,
    PeerNotFound,
    Unauthorized,
)
from peerbus.http.event_stream import CONTENT_TYPE, PATH, Wanted, event, stream_request
from peerbus.http.reply import failure
from peerbus.http.tls import trust
from peerbus.http.types import Parts
from peerbus.node.identity import fill_in_query
from peerbus.node.membership import Membership
from peerbus.node.server_client import ServerClient
from peerbus.wire.protocol import ErrorAnswer, StreamRequest

SILENCE_SECONDS = 45.0
"""After so long without a sign of life the indexing server is taken to be gone; it gives one every 15 seconds."""
PART_BYTES = 1 << 16
END = b"\n\n"


class Upstream(NamedTuple):
    """A stream that the indexing server sends."""

    line: socket.socket
    connection: HTTPConnection
    response: HTTPResponse


class ForwardedStreams:
    """Makes streams of the indexing server's for this node's peer, and learns from them where its queue stands."""

    def __init__(self, index: ServerClient, membership: Membership) -> None:
        self._index = index
        self._url = index.url
        self._membership = membership
        self._lock = threading.Lock()
        self._lines: set[socket.socket] = set()
        self._closed = False

    def open(self, wanted: Wanted) -> Parts:
        """A stream of the peer's message queue; raises what the indexing server refuses it with."""
        request = stream_request(fill_in_query(wanted.query, self._membership.peer_id))
        wanted.check(request)
        try:
            upstream = self._opened(request, wanted.last_id)
        except (PeerNotFound, NotSubscribed, Unauthorized) as error:
            lost = request.topic if isinstance(error, NotSubscribed) else None
            if not (self._membership.can_restore(lost) and self._membership.renew()):
                raise
            upstream = self._opened(request, wanted.last_id)
        return self._parts(request.topic, upstream)

    def close(self) -> None:
        """End all streams."""
        with self._lock:
            self._closed = True
            for line in self._lines:
                _cut(line)

    def _opened(self, request: StreamRequest, last_id: int | None) -> Upstream:
        address = urlsplit(self._url)
        connection = HTTPConnection(address.netloc, timeout=self._index.timeout)
        if address.scheme == "https":
            context = trust(self._index.ca)
            connection = HTTPSConnection(address.netloc, timeout=self._index.timeout, context=context)
        shown = {"Authorization": self._index.authorization, "Last-Event-ID": last_id}
        headers = {name: str(value) for name, value in shown.items() if value is not None}
        query = urlencode({"topic": request.topic, "peer_id": request.peer_id})
        try:
            with self._reaching():
                connection.connect()
                line: socket.socket = connection.sock
                connection.request("GET", f"{address.path}{PATH}?{query}", headers=headers)
                response = connection.getresponse()
                self._check(response)
                line.settimeout(SILENCE_SECONDS)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._lines.add(line)
            if self._closed:
                _cut(line)
        return Upstream(line, connection, response)

    def _check(self, response: HTTPResponse) -> None:
        """Raise what the indexing server answers in place of a stream."""
        if response.status == 200 and response.headers.get("Content-Type") == CONTENT_TYPE:
            return
        try:
            error = msgspec.json.decode(response.read(), type=ErrorAnswer)
        except (msgspec.DecodeError, RecursionError):
            raise self._index.not_ours() from None
        raise CATALOGUE.get(error.code, InternalError)(error.message)

    def _parts(self, topic: str, upstream: Upstream) -> Parts:
        """Whole events, as they come; where the indexing server stops without a last one, that is made here."""
        gathered = bytearray()
        try:
            with self._reaching():
                while part := upstream.response.read1(PART_BYTES):
                    gathered += part
                    end = gathered.rfind(END, max(0, len(gathered) - len(part) - 1))
                    if end < 0:
                        continue
                    events, gathered = bytes(gathered[:end]), gathered[end + len(END) :]
                    yield events + END
                    self._moved_on(topic, events)
                    if events.rpartition(END)[2].startswith(b"event: end\n"):
                        return
                raise ConnectionError("it broke the stream off")
        except Exception as error:  # noqa: BLE001  # the reader is told
            yield event(failure(error, f"GET {PATH}").body, name="end")
        finally:
            with self._lock:
                self._lines.discard(upstream.line)
            upstream.response.close()
            upstream.connection.close()

    def _moved_on(self, topic: str, events: bytes) -> None:
        """The reader's connection took these events: that settles them where nobody acknowledges, nor shares."""
        _, found, last = (END + events).rpartition(END + b"id: ")
        subscription = self._membership.subscriptions.find(topic)
        if not found or subscription is None or subscription.options.get("ack") == "explicit":
            return
        if "group" not in subscription.options:
            self._membership.subscriptions.moved_on(topic, subscription, int(last.partition(b"\n")[0]) + 1)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """What goes wrong on the way to the indexing server becomes what a caller is told."""
        try:
            yield
        except (OSError, HTTPException) as error:
            if self._closed:
                raise NotReady("The peer node is stopping.") from None
            if isinstance(error, TimeoutError):
                raise IndexTimeout(f"The indexing server at {self._url} gave no sign of life in time.") from None
            raise IndexUnreachable(f"The indexing server at {self._url} cannot be reached: {error}.") from None


def _cut(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
