"""What a client sent, read in parts, for others to have their turn in between."""

import asyncio
from collections.abc import Callable

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
