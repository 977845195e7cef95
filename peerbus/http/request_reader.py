"""The reading side of a connection: from bytes to the next request and its body."""

from __future__ import annotations

import asyncio
from typing import Protocol

from peerbus.errors import BadRequest, HeadTooLarge, PeerbusError
from peerbus.http.incoming_body import IncomingBody, too_large
from peerbus.http.known_heads import END, KnownHeads
from peerbus.http.parser import LARGEST_HEAD, parse_head
from peerbus.http.reply import unreadable
from peerbus.http.timeouts import BodyMemory, Claim, Timeouts
from peerbus.http.timer import Timer
from peerbus.http.types import Head, Reply, Request, Router

SMALL = 64 << 10
"""Bytes of a body that is gathered even where its route takes none: the connection can be kept then."""
MOST_UNREAD = 64 << 10
"""Bytes that a client may send ahead while a request of it is answered."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TOO_SLOW = "The body came too slowly, or not whole: the connection is closed."
UNREADABLE = Head("", "", "", {}, keep_alive=False)
"""The head of a request that cannot be read."""


class Receiver(Protocol):
    """The connection that requests are read for."""

    @property
    def is_busy(self) -> bool:
        """Whether the next request has to wait: one is being answered, or its answer is being sent."""

    def serve(self, request: Request) -> None:
        """Answer a request."""

    def refuse(self, request: Request, reply: Reply) -> None:
        """Send the reply to a request that is not read to its end, and close the connection."""

    def finished(self) -> None:
        """All requests are answered, and the client sends no more."""


class ReaderServer(Protocol):
    """The part of a server that reading uses."""

    router: Router
    heads: KnownHeads[Head]
    timeouts: Timeouts
    bodies: BodyMemory


class RequestReader:
    """Reads the requests of one connection, one at a time: further ones wait until the receiver is not busy.

    The timer runs while a request is waited for, or comes.
    """

    __slots__ = (
        "_at",
        "_body",
        "_claim",
        "_client",
        "_events",
        "_is_discarding",
        "_is_paused",
        "_receiver",
        "_request",
        "_searched",
        "_server",
        "_timer",
        "_transport",
        "_unread",
        "is_at_end",
        "is_idle",
        "is_unfinished",
    )

    def __init__(
        self,
        server: ReaderServer,
        events: asyncio.AbstractEventLoop,
        receiver: Receiver,
        transport: asyncio.Transport,
        timer: Timer,
        client: str,
    ) -> None:
        self._server = server
        self._events = events
        self._receiver = receiver
        self._transport = transport
        self._timer = timer
        self._client = client
        self._unread = b""
        self._at = 0
        """Where the bytes begin that are not read yet."""
        self._searched = 0
        """Up to where the end of a head was searched for in vain."""
        self._request: Request | None = None
        """The request whose body comes."""
        self._body: IncomingBody | None = None
        self._claim: Claim | None = None
        self._is_paused = False
        """Whether the client is kept from sending more."""
        self._is_discarding = False
        """Whether all further bytes are discarded."""
        self.is_idle = True
        """Whether no byte is unread and no request under way: the next byte begins a request."""
        self.is_unfinished = False
        """Whether a part of the last request is left unread: no request can be read any more."""
        self.is_at_end = False
        """Whether the client sends no more."""
        timer.set(server.timeouts.head)

    @property
    def is_in_body(self) -> bool:
        """Whether a part of a body has yet to come."""
        return self._body is not None

    @property
    def is_exhausted(self) -> bool:
        """Whether the client sends no more, and all that it sent is read."""
        return self.is_at_end and self._at >= len(self._unread)

    # Called by the connection

    def receive(self, data: bytes) -> None:
        """Read bytes that came."""
        if self._is_discarding:
            return
        self.is_idle = False
        self._unread = self._unread[self._at :] + data
        self._searched = max(0, self._searched - self._at)
        self._at = 0
        self._read_on()

    def end(self) -> None:
        """The client sends no more."""
        self.is_at_end = True
        if self._is_discarding:
            return
        if self._body is not None and self._at >= len(self._unread):
            self._break_off(self._body.shortage())
        elif not self._receiver.is_busy:
            self._read_on()

    def go_on(self) -> None:
        """Read the next request: the one before is answered."""
        if self._body is None:
            self._timer.set(self._server.timeouts.idle)
        if self._at < len(self._unread) or self.is_at_end:
            self._events.call_soon(self._read_on)
            return
        self._unread, self._at, self._searched = b"", 0, 0
        self.is_idle = self._body is None and not self._is_discarding
        if self._is_paused:
            self._resume()

    def cut_off(self) -> None:
        """Refuse the request whose body comes: it takes too long."""
        self._break_off(TOO_SLOW)

    def discard(self) -> None:
        """Discard all bytes from now on."""
        self._is_discarding, self.is_idle = True, False
        self._unread, self._at = b"", 0
        self._forget_body()
        self._resume()

    def close(self) -> None:
        """The connection is lost. Drop the references to it: a cycle would keep both until a garbage collection."""
        self.discard()
        del self._receiver

    # Heads

    def _read_on(self) -> None:
        """Read the unread bytes, up to the end of one request."""
        if self._is_discarding:
            return
        if self._receiver.is_busy:
            if len(self._unread) - self._at >= MOST_UNREAD:
                self._pause()
            return
        try:
            if self._body is None:
                self._read_head()
            else:
                self._read_body(self._body)
        except PeerbusError as error:
            self._fail(error)

    def _read_head(self) -> None:
        """Begin the next request, if its head is whole. Raises the errors of `parse_head`."""
        unread = self._unread
        while unread.startswith(b"\r\n", self._at):  # RFC 9112, 2.2
            self._at += 2
        end = unread.find(END, max(self._at, self._searched - len(END) + 1))
        if end < 0 or end - self._at > LARGEST_HEAD:
            self._wait_for_head(end)
            return
        data = unread[self._at : end]
        self._at, self._searched = end + len(END), 0
        head = self._server.heads.get(data)
        if head is None:
            head = parse_head(data)
            head.route = self._server.router(head)
            if head.is_plain:
                self._server.heads.learn(data, head)
        request = Request(head, b"", self._client)
        if not head.has_body:
            self._receiver.serve(request)
        elif head.is_plain and head.length <= len(unread) - self._at:
            request.body = unread[self._at : self._at + head.length]
            self._at += head.length
            self._receiver.serve(request)
        else:
            self._begin_body(request)

    def _wait_for_head(self, end: int) -> None:
        """Wait for the rest of a head; raises `BadRequest` and `HeadTooLarge` for one that can never be whole."""
        left = len(self._unread) - self._at
        if end >= 0 or left > LARGEST_HEAD:
            raise HeadTooLarge(f"The head of the request has more than {LARGEST_HEAD} bytes.")
        new = self._unread[max(self._at, self._searched - 1) :]
        if new.count(b"\n") != new.count(b"\r\n") + (self._searched > 0 and new.startswith(b"\n")):
            raise BadRequest("A line of the head does not end with CR LF.")
        if left and not self._searched:
            self._timer.set(self._server.timeouts.head)
        self._searched = len(self._unread)
        if not left:
            self._unread, self._at, self._searched = b"", 0, 0
            self.is_idle = True
        if self.is_at_end:
            self._receiver.finished()
        else:
            self._resume()

    # Bodies

    def _begin_body(self, request: Request) -> None:
        """Prepare for a body that has yet to come, or have the request answered without it."""
        head, route = request.head, request.head.route
        is_large = head.chunked or head.length > SMALL
        if head.method == "HEAD" or (is_large and not route.max_body):
            self.is_unfinished = True
            self._receiver.serve(request)
            return
        is_too_large = 0 < route.max_body < head.length - head.added
        if is_large or is_too_large or head.expects_continue:
            if refusal := route.refuse(request):
                self._refuse(request, refusal)
                return
            request.is_admitted = True
            if is_too_large:
                self._refuse(request, route.failed(request, too_large(route.max_body)))
                return
        self._request = request
        self._body = IncomingBody(head, route.max_body)
        self._timer.set(self._server.timeouts.body)
        if is_large:
            size = route.max_body if head.chunked else head.length
            self._claim = self._server.bodies.claim(size, self._gather, self.cut_off)
            if not self._claim.is_granted:
                self._pause()
        else:
            self._gather()

    def _gather(self) -> None:
        """Let the body come."""
        if self._request and self._request.head.expects_continue:
            self._transport.write(CONTINUE)
        self._events.call_soon(self._read_on)

    def _read_body(self, body: IncomingBody) -> None:
        """Take the unread bytes of the body. Raises the errors of `IncomingBody.take`."""
        if self._claim is not None and not self._claim.is_granted:
            self._pause()
            return
        self._at = body.take(self._unread, self._at)
        request = self._request
        if body.is_complete and request:
            request.body = body.whole()
            self._forget_body()
            self._receiver.serve(request)
        elif self._at < len(self._unread):
            self._events.call_soon(self._read_on)
        elif self.is_at_end:
            self._break_off(body.shortage())
        else:
            self._resume()

    def _break_off(self, problem: str) -> None:
        """Refuse a request whose body does not come."""
        self._fail(BadRequest(problem))

    def _fail(self, error: PeerbusError) -> None:
        """Refuse a request that cannot be read to its end."""
        if self._request:
            self._refuse(self._request, self._request.head.route.failed(self._request, error))
        else:
            self._refuse(Request(UNREADABLE, b"", self._client), unreadable(error))

    def _refuse(self, request: Request, reply: Reply) -> None:
        self.is_unfinished = True
        self._forget_body()
        self._receiver.refuse(request, reply)

    def _forget_body(self) -> None:
        self._request = self._body = None
        if self._claim is not None:
            claim, self._claim = self._claim, None
            self._server.bodies.release(claim)

    # The client

    def _pause(self) -> None:
        if not (self._is_paused or self._transport.is_closing()):
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()
