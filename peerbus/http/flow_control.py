"""What a client is sent, as fast as it takes it."""

import asyncio
from collections.abc import Callable

from peerbus.future import Future

PART = 8 << 10
"""Bytes that are read at once, if not more is known to be one body."""


class Inlet:
    """Keeps what came on a connection until it may be read, and the client from sending more meanwhile."""

    def __init__(
        self,
        events: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        read: Callable[[bytes], None],
        room: Callable[[], int],
    ) -> None:
        """`read` takes what came; `room` says how many bytes of it may be read now, `PART` at least or none."""
        self._events = events
        self._transport = transport
        self._read = read
        self._room = room
        self._unread = b""
        self.paused = False
        """Whether the client is kept from sending more."""
        self._later = False
        """Whether it is going to read on by itself."""

    def came(self, data: bytes) -> None:
        """Something came."""
        if self._unread or len(data) > PART:
            self._unread += data
            self.go_on()
        else:
            self._read(data)

    def go_on(self) -> None:
        """See whether there is room for more: what came is read soon then, or else the client may send."""
        room = self._room()
        if self._unread or not room:
            self._pause()
        elif self.paused and not self._transport.is_closing():
            self.paused = False
            self._transport.resume_reading()
        if self._unread and room and not self._later:
            self._later = True
            self._events.call_soon(self._read_on)

    def empty(self) -> None:
        """What came is not to be read."""
        self._unread = b""

    def _pause(self) -> None:
        if not self.paused and not self._transport.is_closing():
            self.paused = True
            self._transport.pause_reading()

    def _read_on(self) -> None:
        self._later = False
        room = self._room()
        if self._unread and room:
            part, self._unread = self._unread[:room], self._unread[room:]
            self._read(part)
        self.go_on()


PIECE = 64 << 10
"""Bytes that a connection is given at once."""


class Outlet:
    """Keeps what a client is sent until its connection takes it.

    A transport would keep it, too. But one that speaks TLS does not tell what of it is still there, and does not wait
    for that when it is closed.
    """

    def __init__(self, transport: asyncio.Transport, emptied: Callable[[], None]) -> None:
        """`emptied` is called when the client took what it had not taken at once."""
        self._transport = transport
        self._emptied = emptied
        self._unsent = memoryview(b"")
        self._untaken: Future[bool] | None = None
        self.full = False
        """Whether the client has to take what was sent before there is more."""

    def open(self) -> None:
        """Have the connection tell, by `pause` and `go_on`, whether it took all."""
        self._transport.set_write_buffer_limits(high=1, low=0)

    def send(self, data: bytes) -> None:
        """Send to the client."""
        if self.full or len(data) > PIECE:
            self._unsent = memoryview(bytes(self._unsent) + data)
            self._send_on()
        else:
            self._transport.write(data)

    def hand_over(self, data: bytes, taken: Future[bool]) -> None:
        """Send to the client, and tell when its connection took it all, or that it is gone."""
        self.send(data)
        if self.full:
            self._untaken = taken
        else:
            taken.set_result(True)

    def pause(self) -> None:
        """The connection takes no more for now."""
        self.full = True

    def go_on(self) -> None:
        """It does again."""
        self.full = False
        self._send_on()
        if not self.full:
            self._settle(True)
            self._emptied()

    def close(self) -> None:
        """The connection is gone, and what it did not take."""
        self._unsent = memoryview(b"")
        self._settle(False)

    def _send_on(self) -> None:
        while self._unsent and not self.full:
            piece, self._unsent = self._unsent[:PIECE], self._unsent[PIECE:]
            self._transport.write(piece)

    def _settle(self, taken: bool) -> None:
        waiting, self._untaken = self._untaken, None
        if waiting:
            waiting.set_result(taken)
