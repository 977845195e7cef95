"""One connection of a server: requests come in one after the other, and so do their answers go out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from peerbus.future import Future
from peerbus.http.flow_control import PART, Inlet, Outlet
from peerbus.http.parser import Reader, Unreadable
from peerbus.http.request_cycle import Turn
from peerbus.http.timer import Timer
from peerbus.http.types import Environ

if TYPE_CHECKING:
    from peerbus.http.server import LoopServer

MOST_AHEAD = 1
"""Requests that may come before the one in front of them is answered."""
LINGER_SECONDS = 2.0
"""How long what a client still sends is thrown away, for it to see the answer to what it sent before."""
LAST_SECONDS = 0.5
"""How long a connection may take to be closed where the server stops."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSAL = "HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Line(asyncio.Protocol):
    """Has the requests of a client answered in turn."""

    def __init__(self, server: LoopServer) -> None:
        self.loop = server.loop
        self._server = server
        self._transport: asyncio.Transport
        self._reader: Reader
        self._inlet: Inlet
        self._outlet: Outlet
        self._turns: deque[Turn] = deque()
        """The requests that are not answered, from their heads on."""
        self._busy = False
        """Whether the first of them is given to the application."""
        self._proceeding = False
        self._unread_body = False
        """Whether the body that comes has to be read before there is more of it."""
        self._gathering: Turn | None = None
        """The request whose body the loop waits for."""
        self._refusal = ""
        """What is said to a client that sends no request that can be read."""
        self._deaf = False
        """Whether what comes is thrown away."""
        self._is_open = True
        self._leave: Callable[[], None] | None = None
        """Closes the connection, when all is sent."""
        self._alarm = Timer(server.loop.events, self._out_of_time)

    @property
    def is_last(self) -> bool:
        """Whether no request is taken after the one that is answered now."""
        return self._server.stopping or (self._deaf and len(self._turns) == 1)

    # What the server and the turns call

    def send(self, data: bytes) -> None:
        """Send to the client, if it is there."""
        if self._is_open:
            self._outlet.send(data)

    def hand_over(self, data: bytes, taken: Future[bool]) -> None:
        """Send to the client, and tell when its connection took it all, or that it is gone."""
        if self._is_open and not self._leave:
            self._outlet.hand_over(data, taken)
        else:
            taken.set_result(False)

    def ask_for_more(self) -> None:
        """Some thread waits for more of the body it reads."""
        self.loop.call(self._ask_for_more)

    def answered(self, turn: Turn) -> None:
        """A turn is over."""
        if not self._turns or turn is not self._turns[0]:
            return
        self._turns.popleft()
        self._busy = False
        turn.environ = {}  # which knows the turn
        if not turn.keep or self._server.stopping or (self._deaf and not self._turns):
            self._hang_up(self._close if turn.whole else self._linger)
            return
        self._alarm.set(self._server.timeouts.head)
        if self._inlet.paused:
            self._unread_body = False
            self._inlet.go_on()
        if self._turns:
            self._proceed()

    def stop(self) -> None:
        """Close the connection when what is under way is answered."""
        if not self._turns:
            self._hang_up(self._close)
        elif not self._turns[-1].complete:
            self._turns[-1].break_off()
            self._proceed()

    def abort(self) -> None:
        """Close the connection at once; nobody waits for it any more."""
        self._end()
        self._transport.abort()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)
        host, port = transport.get_extra_info("sockname")[:2]
        peer = transport.get_extra_info("peername")
        common = {
            "REMOTE_ADDR": peer[0] if peer else "",
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "wsgi.url_scheme": "https" if transport.get_extra_info("sslcontext") else "http",
        }
        self._reader = Reader(self, self._server.heads, common)
        self._inlet = Inlet(self.loop.events, self._transport, self._read, self._room)
        self._outlet = Outlet(self._transport, self._emptied)
        self._outlet.open()
        self._alarm.set(self._server.timeouts.head)
        self._server.came(self)

    def data_received(self, data: bytes) -> None:
        """Something came."""
        if not self._deaf:
            self._inlet.came(data)

    def eof_received(self) -> bool:
        """The client sends no more: unless by TLS, it still gets the answer to half a body, and all of one that began.

        Nothing else is answered.
        """
        half = bool(self._turns) and not self._turns[-1].complete
        taking = self._outlet.full
        if half:
            self._turns[-1].break_off()
            self._proceed()
        elif taking:
            self._hang_up(self._close)
        return (half or taking) and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """The client does not take what was sent as fast as that was."""
        self._outlet.pause()

    def resume_writing(self) -> None:
        """It took it."""
        self._outlet.go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # why does not matter
        """The client is gone, or was closed the connection on."""
        self._end()
        self._server.went(self)

    # What the reader calls

    def came(self, environ: Environ, body: bytes) -> None:
        """A whole request came, after which another one may."""
        self._turns.append(Turn(self, environ, True, body))

    def begin(self, environ: Environ, keep: bool) -> None:
        """The head of a request came."""
        self._turns.append(Turn(self, environ, keep))

    def take(self, piece: bytes) -> None:
        """A piece of its body came."""
        if not self._turns[-1].take(piece):
            self._unread_body = True
            self._inlet.go_on()

    def end(self) -> None:
        """It is whole."""
        self._turns[-1].end()

    # What follows from it

    def _read(self, data: bytes) -> None:
        """Take in what came, or a part of it."""
        try:
            self._reader.read(data)
        except Unreadable as error:
            self._turn_deaf(str(error))
        if len(self._turns) > MOST_AHEAD:
            self._inlet.go_on()
        self._proceed()
        if self._refusal and not self._turns and self._is_open:
            self.send(REFUSAL.format(self._refusal).encode())
            self._hang_up(self._linger)

    def _room(self) -> int:
        """How many bytes may be read now."""
        if self._unread_body or len(self._turns) > MOST_AHEAD:
            return 0
        return max(PART, self._turns[-1].missing) if self._turns else PART

    def _proceed(self) -> None:
        """Give the application the request in front, when enough of it came, and the next when that is answered."""
        if self._proceeding:
            return
        self._proceeding = True
        while self._turns and not self._busy and not self._outlet.full and self._is_open:
            turn = self._turns[0]
            if not turn.complete and self._gathers(turn):
                break
            self._busy = True
            self._gathering = None
            self._server.give(turn)
        self._proceeding = False

    def _gathers(self, turn: Turn) -> bool:
        """Whether the loop waits for the body of a request; it begins to, if so."""
        environ = turn.environ
        length = environ.get("CONTENT_LENGTH")
        if length is None or int(length) > self._server.most_gathered or environ["REQUEST_METHOD"] == "HEAD":
            return False
        if turn is not self._gathering:
            self._gathering = turn
            self._continue(turn)
            self._alarm.set(self._server.timeouts.body)
        return True

    def _continue(self, turn: Turn) -> None:
        """Tell a client that waits to be told so to send the body."""
        if turn.hesitates and not turn.complete:
            turn.hesitates = False
            self.send(CONTINUE)

    def _ask_for_more(self) -> None:
        if self._turns and self._is_open:
            self._continue(self._turns[0])
            self._unread_body = False
            self._inlet.go_on()

    def _end(self) -> None:
        self._is_open = False
        self._deaf = True
        self._alarm.cancel()
        self._inlet.empty()
        for turn in self._turns:
            turn.break_off()
        self._outlet.close()

    def _turn_deaf(self, refusal: str) -> None:
        """Read no more, for it cannot be understood; what came before is answered."""
        self._deaf = True
        self._inlet.empty()
        self._refusal = refusal
        if self._turns and not self._turns[-1].complete:
            self._turns[-1].break_off()

    def _emptied(self) -> None:
        """The client took all that it was sent."""
        if self._leave:
            self._leave()
        elif self._turns:
            self._proceed()
        else:
            self._alarm.set(self._server.timeouts.head)

    def _hang_up(self, leave: Callable[[], None]) -> None:
        """Close the connection when all is sent; nothing else is answered."""
        self._deaf = True
        self._refusal = ""
        self._turns.clear()
        self._inlet.empty()
        self._unread_body = False
        self._inlet.go_on()
        self._alarm.put_off()
        self._leave = leave
        if self._is_open and not self._outlet.full:
            leave()

    def _linger(self) -> None:
        """Close the connection later: a client that still sends would lose the answer."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.loop.events.call_later(LAST_SECONDS if self._server.stopping else LINGER_SECONDS, self._close)

    def _close(self) -> None:
        self._transport.close()
        if self._server.stopping:
            self.loop.events.call_later(LAST_SECONDS, self._transport.abort)

    def _out_of_time(self) -> None:
        """The client took too long."""
        if self._outlet.full:
            self._alarm.set(self._server.timeouts.head)  # it still takes what it was sent
        elif not self._turns:
            self._transport.abort()
        elif not self._busy:
            self._turns[0].give_up()
            self._proceed()
