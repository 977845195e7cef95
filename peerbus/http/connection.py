"""One connection of a server: requests come in one after the other, and so do their answers go out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol, cast

from peerbus.errors import BadRequest, PeerbusError
from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.flow_control import WriteBuffer
from peerbus.http.incoming_body import IncomingBody, too_large
from peerbus.http.known_heads import END, KnownHeads
from peerbus.http.parser import LARGEST_HEAD, ChunkedBody, Unreadable, parse_head
from peerbus.http.reply import WITHOUT_BODY, head_of, unreadable
from peerbus.http.timeouts import BodyMemory, Claim, Timeouts
from peerbus.http.timer import Timer
from peerbus.http.types import Head, LargeBody, Reply, Request, Router, Sink

log = logging.getLogger(__name__)

SMALL = 64 << 10
"""Bytes of a body that is gathered whatever becomes of it: the connection can be kept then."""
MOST_UNREAD = 64 << 10
"""Bytes that a client may send ahead while a request of it is answered."""
LINGER_SECONDS = 2.0
"""How long the rest of a request is thrown away, so that the client sees the answer to what it sent before."""
LAST_SECONDS = 0.5
"""How long a connection may take to be closed when the server stops."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TOO_SLOW = "The body came too slowly, or not whole: the connection is closed."


class ConnectionServer(Protocol):
    """What a connection needs of its server."""

    loop: Loop
    router: Router
    heads: KnownHeads[Head]
    timeouts: Timeouts
    bodies: BodyMemory
    is_stopping: bool

    def opened(self, connection: Connection) -> None:
        """A client connected."""

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""

    def answer(self, request: Request) -> Reply | Future[Reply]:
        """Answer a request, in the loop or in another thread."""


class Connection(asyncio.Protocol):
    """Has the requests of one client answered, one at a time; what comes ahead waits.

    A request that comes whole, and whose head came before, takes the short way: `data_received`, `_serve`, `_respond`.
    """

    def __init__(self, server: ConnectionServer) -> None:
        self._server = server
        self._events = server.loop.events
        self._known = server.heads.get
        self._transport: asyncio.Transport
        self._out: WriteBuffer
        self._client = ""
        self._unread = b""
        self._at = 0
        """Where the bytes begin that are not read yet."""
        self._searched = 0
        """Up to where the end of a head was looked for in vain."""
        self._is_ready = True
        """Whether nothing came, and nothing is under way: what comes next begins a request."""
        self._request: Request | None = None
        """The request that comes, or is answered."""
        self._body: IncomingBody | None = None
        """Its body, as long as that comes."""
        self._claim: Claim | None = None
        self._is_unfinished = False
        """Whether a part of its body is left unread."""
        self._stream: asyncio.Task[None] | None = None
        self._is_open = True
        self._is_deaf = False
        """Whether all that comes is thrown away."""
        self._is_paused = False
        """Whether the client is kept from sending more."""
        self._is_at_end = False
        """Whether the client sends no more."""
        self._leave: Callable[[], None] | None = None
        """Closes the connection, once all is sent."""
        self._timer = Timer(self._events, self._out_of_time)

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._client = peer[0] if peer else ""
        self._out = WriteBuffer(self._transport, self._emptied)
        self._timer.set(self._server.timeouts.head)
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._is_ready:
            head, end, body = data.partition(END)
            known = self._known(head)
            if known is not None and end and len(body) == known.length:
                self._is_ready = False
                self._serve(Request(known, body, self._client))
                return
        if not self._is_deaf:
            self._is_ready = False
            self._unread = self._unread[self._at :] + data
            self._searched = max(0, self._searched - self._at)
            self._at = 0
            self._read_on()

    def eof_received(self) -> bool:
        """The client sends no more; the answer to all that came is still sent, unless by TLS.

        A client that ends while its pull waits is taken to be gone: nothing is handed over to it.
        """
        self._is_at_end = True
        if self._body is not None and self._at >= len(self._unread):
            self._break_off(self._body.shortage())
        if self._request is None and not self._out.is_full and self._leave is None:
            self._read_on()  # the rest of what came ahead; it closes the connection where there is none
        waits = self._request is not None and (self._request.waits or self._stream is not None)
        return not waits and self._is_open and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """The client does not take what is sent as fast as it is sent."""
        self._out.pause()

    def resume_writing(self) -> None:
        """The client took what was sent."""
        self._out.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the reason does not matter
        """The connection is closed, from either side."""
        self._end()
        self._server.closed(self)

    # What the server calls

    def stop(self) -> None:
        """Close the connection when the request under way is answered."""
        if self._body is not None:
            self._break_off(TOO_SLOW)
        elif self._request is None and self._leave is None:
            self._hang_up(self._close)

    def abort(self) -> None:
        """Close the connection at once."""
        self._end()
        self._transport.abort()

    # The request

    def _read_on(self) -> None:
        """Go on with what came, one request at a time."""
        if self._is_deaf or not self._is_open:
            return
        if (self._request is not None and self._body is None) or self._out.is_full:
            if len(self._unread) - self._at >= MOST_UNREAD:
                self._pause()
            return
        try:
            if self._body is None:
                self._read_head()
            else:
                self._read_body(self._body)
        except Unreadable as error:
            self._refuse(unreadable(error.message, error.status))
        except PeerbusError as error:
            self._fail(error)

    def _read_head(self) -> None:
        """Begin the next request, if its head is whole. Raises `Unreadable`."""
        unread = self._unread
        while unread.startswith(b"\r\n", self._at):  # RFC 9112, 2.2
            self._at += 2
        end = unread.find(END, max(self._at, self._searched - len(END) + 1))
        if end < 0 or end - self._at > LARGEST_HEAD:
            self._wait_for_head(end)
            return
        data = unread[self._at : end]
        self._at, self._searched = end + len(END), 0
        decoder = None
        head = self._known(data)
        if head is None:
            head, decoder = parse_head(data)
            head.route = self._server.router(head)
            if not (head.chunked or head.expects_continue):
                self._server.heads.learn(data, head)
        request = Request(head, b"", self._client)
        if not head.has_body:
            self._serve(request)
        elif head.length <= len(unread) - self._at and not head.chunked:
            request.body = unread[self._at : self._at + head.length]
            self._at += head.length
            self._serve(request)
        else:
            self._begin_body(request, decoder)

    def _wait_for_head(self, end: int) -> None:
        """Wait for the rest of a head; raises `Unreadable` for one that can never be whole."""
        left = len(self._unread) - self._at
        if end >= 0 or left > LARGEST_HEAD:
            raise Unreadable(f"The head of the request has more than {LARGEST_HEAD} bytes.", 431)
        new = self._unread[max(self._at, self._searched - 1) :]
        if new.count(b"\n") != new.count(b"\r\n") + (self._searched > 0 and new.startswith(b"\n")):
            raise Unreadable("A line of the head does not end with CR LF.")
        self._searched = len(self._unread)
        if not left:
            self._unread, self._at, self._searched, self._is_ready = b"", 0, 0, True
        if self._is_at_end:
            self._hang_up(self._close)
        else:
            self._go_on_reading()

    def _begin_body(self, request: Request, decoder: ChunkedBody | None) -> None:
        """Prepare for a body that has yet to come, or refuse it unread."""
        head, route = request.head, request.head.route
        self._request = request
        self._is_unfinished = True
        is_large = head.chunked or head.length > SMALL
        if head.method == "HEAD" or (is_large and not route.max_body):
            self._answer(request)
            return
        is_too_large = 0 < route.max_body < head.length
        if is_large or is_too_large or head.expects_continue:
            if refusal := route.refuse(request):
                self._respond(refusal)
                return
            request.is_admitted = True
            if is_too_large:
                self._respond(route.failed(request, too_large(route.max_body)))
                return
        self._body = IncomingBody(head.length, decoder, route.max_body)
        self._timer.set(self._server.timeouts.body)
        if is_large:
            size = route.max_body if head.chunked else head.length
            self._claim = self._server.bodies.claim(size, self._gather, partial(self._break_off, TOO_SLOW))
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
        """Take in what came of the body. Raises `Unreadable`, and `TooLarge`."""
        if self._claim is not None and not self._claim.is_granted:
            self._pause()
            return
        self._at = body.take(self._unread, self._at)
        if body.is_complete:
            request = cast(Request, self._request)
            request.body = body.whole()
            self._forget_body()
            self._is_unfinished = False
            self._serve(request)
        elif self._at < len(self._unread):
            self._events.call_soon(self._read_on)
        elif self._is_at_end:
            self._break_off(body.shortage())
        else:
            self._go_on_reading()

    def _serve(self, request: Request) -> None:
        """Have a request answered that came whole."""
        self._request = request
        self._answer(request)

    def _answer(self, request: Request) -> None:
        reply = self._server.answer(request)
        if type(reply) is Reply:
            self._respond(reply)
        else:
            cast(Future[Reply], reply).add_done_callback(partial(self._answered, request))

    def _answered(self, request: Request, future: Future[Reply]) -> None:
        """An answer came later, in any thread."""
        self._server.loop.call(self._respond_later, request, future)

    def _respond_later(self, request: Request, future: Future[Reply]) -> None:
        reply = future.result()
        if request is self._request and self._is_open:
            self._respond(reply)
        elif reply.on_lost:
            reply.on_lost()

    # The answer

    def _respond(self, reply: Reply) -> None:
        """Send the answer to the request."""
        head = cast(Request, self._request).head
        keeps = head.keep_alive and not (self._is_unfinished or self._server.is_stopping or self._is_deaf)
        if self._is_at_end and self._at == len(self._unread):
            keeps = False
        is_chunked = reply.stream is not None and not head.is_old
        connection = "close" if not keeps or (reply.stream and not is_chunked) else "keep-alive" if head.is_old else ""
        try:
            data = head_of(
                reply.status, reply.headers, None if reply.stream else len(reply.body), connection, chunked=is_chunked
            )
        except ValueError:
            log.exception("The answer to %s, with status %s, has a head that cannot be sent", head.call, reply.status)
            reply = Reply(500, b"", ())
            data = head_of(500, (), 0, connection)
        if reply.stream:
            self._out.send(data)
            self._stream = self._events.create_task(self._send_stream(reply.stream, is_chunked, keeps))
            return
        self._out.send(data, b"" if head.method == "HEAD" or reply.status in WITHOUT_BODY else reply.body)
        if reply.on_lost:
            self._out.when_taken(partial(_settle, reply.on_lost))
        self._finish(keeps)

    async def _send_stream(
        self, stream: Callable[[Sink], Coroutine[Any, Any, None]], is_chunked: bool, keeps: bool
    ) -> None:
        try:
            await stream(_StreamSink(self._events, self._out, is_chunked))
        except asyncio.CancelledError:
            return  # the connection is lost
        except Exception:
            log.exception("A stream failed")
            self.abort()
            return
        finally:
            self._stream = None
        if self._is_open:
            if is_chunked:
                self._out.send(b"0\r\n\r\n")
            self._finish(keeps and is_chunked)

    def _finish(self, keeps: bool) -> None:
        """Go on after an answer."""
        self._request = None
        if not keeps:
            self._hang_up(self._linger if self._is_unfinished and not self._is_at_end else self._close)
            return
        self._timer.set(self._server.timeouts.head)
        if self._at < len(self._unread):
            self._events.call_soon(self._read_on)
        else:
            self._unread, self._at, self._searched = b"", 0, 0
            self._is_ready = not self._out.is_full
            if self._is_paused:
                self._go_on_reading()

    def _fail(self, error: PeerbusError) -> None:
        """Answer a request whose body cannot be taken."""
        request = cast(Request, self._request)
        self._forget_body()
        self._respond(request.head.route.failed(request, error))

    def _break_off(self, problem: str) -> None:
        """Answer a request whose body does not come."""
        self._fail(BadRequest(problem))

    def _refuse(self, reply: Reply) -> None:
        """Answer what cannot be read as a request, and read nothing more."""
        self._forget_body()
        self._request = None
        self._is_deaf = True
        self._is_unfinished = not self._is_at_end
        self._out.send(head_of(reply.status, reply.headers, len(reply.body), "close"), reply.body)
        self._hang_up(self._linger if self._is_unfinished else self._close)

    # The connection

    def _forget_body(self) -> None:
        self._body = None
        if self._claim is not None:
            claim, self._claim = self._claim, None
            self._server.bodies.release(claim)

    def _emptied(self) -> None:
        """The client took all that it was sent."""
        if self._leave:
            self._leave()
        elif self._request is None:
            self._timer.set(self._server.timeouts.head)
            self._read_on()

    def _pause(self) -> None:
        if not (self._is_paused or self._transport.is_closing()):
            self._is_paused = True
            self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    def _hang_up(self, leave: Callable[[], None]) -> None:
        """Close the connection when all is sent; nothing else is answered."""
        self._is_deaf, self._is_ready = True, False
        self._unread, self._at = b"", 0
        self._timer.stop()
        self._leave = leave
        self._go_on_reading()
        if self._is_open and not self._out.is_full:
            leave()

    def _linger(self) -> None:
        """Close the connection later: a client that still sends would lose the answer."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._events.call_later(LAST_SECONDS if self._server.is_stopping else LINGER_SECONDS, self._close)

    def _close(self) -> None:
        self._transport.close()
        if self._server.is_stopping:
            self._events.call_later(LAST_SECONDS, self._transport.abort)

    def _end(self) -> None:
        self._is_open, self._is_deaf, self._is_ready = False, True, False
        self._unread, self._at = b"", 0
        self._timer.cancel()
        self._forget_body()
        self._request = None
        if self._stream:
            self._stream.cancel()
        self._out.close()

    def _out_of_time(self) -> None:
        """The client took too long."""
        if self._out.is_full:
            self._timer.set(self._server.timeouts.head)  # TCP ends the connection of a client that takes nothing
        elif self._body is not None:
            self._break_off(TOO_SLOW)
        elif self._request is None:
            self._transport.abort()


class _StreamSink:
    """Writes the parts of a stream to a connection."""

    def __init__(self, events: asyncio.AbstractEventLoop, out: WriteBuffer, is_chunked: bool) -> None:
        self._events = events
        self._out = out
        self._is_chunked = is_chunked

    async def write(self, part: bytes | LargeBody) -> bool:
        """Send a part and wait until the connection took it; false where the client is gone."""
        if isinstance(part, LargeBody):
            self._out.send(b"%x\r\n" % len(part) if self._is_chunked else b"", part)
            self._out.send(b"\r\n" if self._is_chunked else b"")
        else:
            self._out.send(b"%x\r\n%b\r\n" % (len(part), part) if self._is_chunked else part)
        taken: asyncio.Future[bool] = self._events.create_future()
        self._out.when_taken(lambda is_taken: None if taken.done() else taken.set_result(is_taken))
        await asyncio.sleep(0)  # a reader that takes everything at once leaves the others their turns
        return await taken


def _settle(on_lost: Callable[[], None], is_taken: bool) -> None:
    if not is_taken:
        on_lost()
