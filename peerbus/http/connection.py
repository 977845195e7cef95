"""One connection of a server: requests come in one after the other, and their answers go out in that order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol, cast

from peerbus.future import Future
from peerbus.http.event_loop import Loop
from peerbus.http.flow_control import WriteBuffer
from peerbus.http.handovers import CLOSED, Handovers
from peerbus.http.known_heads import END
from peerbus.http.listener import client_address
from peerbus.http.reply import WITHOUT_BODY, head_of
from peerbus.http.request_reader import ReaderServer, RequestReader
from peerbus.http.timer import Timer
from peerbus.http.types import LargeBody, Reply, Request, Sink

log = logging.getLogger(__name__)

LARGE = 1 << 20
"""Bytes of a body from which on a request is answered in a thread: decoding it takes milliseconds."""
LINGER_SECONDS = 2.0
"""Seconds for which the rest of a refused request is read and discarded, so that the client sees the answer."""
LAST_SECONDS = 0.5
"""Seconds that closing a connection may take when the server stops."""


class ConnectionServer(ReaderServer, Protocol):
    """The part of a server that a connection uses."""

    loop: Loop
    handovers: Handovers
    is_stopping: bool

    def opened(self, connection: Connection) -> None:
        """A client connected."""

    def closed(self, connection: Connection) -> None:
        """A connection is gone, and its stream has ended."""

    def answer_in_thread(self, request: Request) -> Future[Reply]:
        """Have the route handle a request in another thread than the loop's."""


class Connection(asyncio.Protocol):
    """Answers the requests of one client, one at a time.

    A small request that comes whole, and whose head came before, takes the short way: `data_received`, `serve`,
    `_respond`. All others are read by the `RequestReader`.
    """

    __slots__ = (
        "_client",
        "_is_leaving",
        "_is_lost",
        "_known",
        "_lingers",
        "_number",
        "_out",
        "_reader",
        "_request",
        "_server",
        "_stream",
        "_timer",
        "_transport",
    )

    _transport: asyncio.Transport
    _out: WriteBuffer
    _reader: RequestReader

    def __init__(self, server: ConnectionServer) -> None:
        self._server = server
        self._known = server.heads.get
        self._client = ""
        self._request: Request | None = None
        """The request that is answered."""
        self._stream: asyncio.Task[None] | None = None
        self._is_lost = False
        self._is_leaving = False
        """Whether the connection is closed once all is sent."""
        self._lingers = False
        """Whether it is closed later than that: a client that still sends would lose the answer."""
        self._timer = Timer(server.loop.events, self._out_of_time)

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._client = client_address(transport.get_extra_info("peername"))
        self._number: int = transport.get_extra_info("socket").fileno()
        self._out = WriteBuffer(self._transport, self._all_taken)
        events = self._server.loop.events
        self._reader = RequestReader(self._server, events, self, self._transport, self._timer, self._client)
        self._out.begin()
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        reader = self._reader
        if reader.is_idle:
            head, end, body = data.partition(END)
            known = self._known(head)
            if known is not None and end and len(body) == known.length:
                reader.is_idle = False
                self.serve(Request(known, body, self._client))
                return
        reader.receive(data)

    def eof_received(self) -> bool:
        """The client sends no more; the answer to all that came is still sent, unless by TLS.

        A client that ends while its pull or stream waits is taken to be gone: no message is handed over to it.
        Returns whether the connection stays open.
        """
        self._reader.end()
        if self._is_leaving:
            has_more = self._out.is_full
        else:
            has_more = self._request is None or not (self._request.waits or self._stream)
        return has_more and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """The client reads more slowly than data is sent."""
        self._out.pause()

    def resume_writing(self) -> None:
        """The client took all data sent before."""
        self._out.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the reason does not matter
        """The connection is closed, from either side."""
        self._is_lost = True
        request, self._request = self._request, None
        self._reader.close()
        self._timer.cancel()
        self._out.close()
        if self._stream:
            self._stream.add_done_callback(lambda _: self._server.closed(self))  # it may have messages to give back
            self._stream.cancel()
        else:
            self._server.closed(self)
        if request and request.on_gone:
            request.on_gone()

    # Called by the server

    def stop(self) -> None:
        """Close the connection when the request under way is answered."""
        if self._is_lost:  # its stream is about to end
            return
        if self._reader.is_in_body:
            self._reader.cut_off()
        elif self._is_leaving:
            self._timer.set(LAST_SECONDS)
        elif self._request is None:
            self._hang_up()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    # Called with the answers that hand messages over

    def fileno(self) -> int:
        """The file descriptor of the socket, or `CLOSED`."""
        return CLOSED if self._transport.is_closing() else self._number

    def hand_over(self, request: Request, reply: Reply, *, is_gone: bool) -> None:
        """Send the reply to a request, unless the client is gone, although the loop may have yet to report it."""
        if request is self._request and not is_gone:
            self._respond(request, reply)
            return
        if reply.on_lost:
            reply.on_lost()
        self.abort()

    # Called by the reader

    @property
    def is_busy(self) -> bool:
        """Whether the next request has to wait: one is being answered, or its answer is being sent."""
        return self._request is not None or self._out.is_full

    def serve(self, request: Request) -> None:
        """Answer a request."""
        self._request = request
        route = request.head.route
        if route.in_loop and len(request.body) < LARGE:
            reply = route.answer(request)
        else:
            reply = self._server.answer_in_thread(request)
        if isinstance(reply, Future):
            reply.add_done_callback(partial(self._answered, request))
        else:
            self._respond(request, reply)

    def refuse(self, request: Request, reply: Reply) -> None:
        """Send the reply to a request that is not read to its end, and close the connection."""
        self._request = request
        self._respond(request, reply)

    def finished(self) -> None:
        """All requests are answered, and the client sends no more."""
        self._hang_up()

    # Answers

    def _answered(self, request: Request, future: Future[Reply]) -> None:
        """An answer came later, in any thread."""
        self._server.loop.call(self._respond_later, request, future)

    def _respond_later(self, request: Request, future: Future[Reply]) -> None:
        reply = request.head.route.answered(request, future)
        if reply.on_lost:
            self._server.handovers.add(self, request, reply)
        elif request is self._request:
            self._respond(request, reply)

    def _respond(self, request: Request, reply: Reply) -> None:
        """Send the answer to the request."""
        head, reader = request.head, self._reader
        keeps = head.keep_alive and not (reader.is_unfinished or self._server.is_stopping)
        if reader.is_at_end and reader.is_exhausted:
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
        if reply.stream and head.method != "HEAD":
            self._out.send(data)
            sending = self._send_stream(reply.stream, is_chunked, keeps)
            self._stream = self._server.loop.events.create_task(sending)
            return
        self._out.send(data, b"" if head.method == "HEAD" or reply.status in WITHOUT_BODY else reply.body)
        if reply.on_lost and self._out.is_full:
            self._out.when_taken(partial(_settle, reply.on_lost))
        self._go_on(keeps)

    async def _send_stream(
        self, stream: Callable[[Sink], Coroutine[Any, Any, None]], is_chunked: bool, keeps: bool
    ) -> None:
        try:
            await stream(_StreamSink(self._server.loop.events, self._out, is_chunked))
        except asyncio.CancelledError:
            return  # the connection is lost
        except Exception:
            log.exception("A stream failed")
            self.abort()
            return
        finally:
            self._stream = None
        if not self._is_lost:
            if is_chunked:
                self._out.send(b"0\r\n\r\n")
            self._go_on(keeps and is_chunked)

    def _go_on(self, keeps: bool) -> None:
        """Continue after an answer."""
        self._request = None
        if not keeps or self._server.is_stopping:
            self._hang_up()
        elif not self._out.is_full:
            self._reader.go_on()

    def _all_taken(self) -> None:
        """The client took all that it was sent."""
        if self._is_leaving:
            self._leave()
        elif self._request is None:
            self._reader.go_on()

    # The end

    def _hang_up(self) -> None:
        """Close the connection when all is sent; nothing else is answered."""
        self._is_leaving = True
        self._lingers = self._reader.is_unfinished and not self._reader.is_at_end
        self._timer.stop()
        self._reader.discard()
        if not self._out.is_full:
            self._leave()

    def _leave(self) -> None:
        """All is sent: close the connection, or wait for the rest of the client's request."""
        if self._lingers:
            self._lingers = False
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._timer.set(LAST_SECONDS if self._server.is_stopping else LINGER_SECONDS)
            return
        self._transport.close()
        if self._server.is_stopping:
            self._timer.set(LAST_SECONDS)

    def _out_of_time(self) -> None:
        """The client took too long."""
        if self._out.is_full:
            self._timer.set(self._server.timeouts.head)  # TCP ends the connection of a client that takes nothing
        elif self._reader.is_in_body:
            self._reader.cut_off()
        elif self._is_leaving and not self._transport.is_closing():
            self._leave()
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
        await asyncio.sleep(0)  # even if the client takes everything at once, other work runs now
        return await taken


def _settle(on_lost: Callable[[], None], is_taken: bool) -> None:
    if not is_taken:
        on_lost()
