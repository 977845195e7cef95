"""What a client is sent, as fast as it takes it."""

import asyncio
from collections.abc import Callable

from peerbus.later import Later

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
        self._untaken: Later[bool] | None = None
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

    def hand_over(self, data: bytes, taken: Later[bool]) -> None:
        """Send to the client, and tell when its connection took it all, or that it is gone."""
        self.send(data)
        if self.full:
            self._untaken = taken
        else:
            taken.bring(True)

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
            waiting.bring(taken)
