"""Flow control: data is sent no faster than the client takes it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from peerbus.http.types import LargeBody

PIECE = 256 << 10
"""Bytes that a connection is given at once."""


class WriteBuffer:
    """Keeps data for a client until its connection takes it.

    A transport would keep it, too. But a transport that speaks TLS does not say how much of it is left, and does not
    wait for the rest when it is closed.
    """

    __slots__ = ("_emptied", "_is_lost", "_taken", "_transport", "_unsent", "is_full")

    def __init__(self, transport: asyncio.Transport, emptied: Callable[[], None]) -> None:
        """`emptied` is called when the client took the data that it had not taken at once."""
        self._transport = transport
        self._emptied = emptied
        self._unsent: deque[Iterator[bytes | memoryview]] = deque()
        """In pieces that are made when they are sent."""
        self._taken: Callable[[bool], None] | None = None
        self._is_lost = False
        self.is_full = False
        """Whether the client has to take the data sent before more is sent."""

    def begin(self) -> None:
        """Have the transport report when it holds data back; it may call `pause` at once, for its handshake."""
        self._transport.set_write_buffer_limits(high=1, low=0)

    def send(self, data: bytes, body: bytes | LargeBody = b"") -> None:
        """Send to the client: `data`, and a body after it."""
        if not self.is_full and len(data) + len(body) <= PIECE:
            self._transport.write(data + b"".join(body) if isinstance(body, LargeBody) else data + body)
        else:
            pieces = body if isinstance(body, LargeBody) else (body,)
            self._unsent.append(_cut(chain((data,), pieces)))
            self._send_on()

    def when_taken(self, taken: Callable[[bool], None]) -> None:
        """Call `taken` when the connection took all that was sent, or with false when it is lost before."""
        if self.is_full and not self._is_lost:
            self._taken = taken
        else:
            taken(not self._is_lost)

    def pause(self) -> None:
        """The connection takes no more for now."""
        self.is_full = True

    def resume(self) -> None:
        """The connection takes more."""
        self.is_full = False
        self._send_on()
        if not self.is_full:
            self._settle(True)
            self._emptied()

    def close(self) -> None:
        """The connection is lost, with the data that it did not take. The buffer no longer refers to its owner."""
        self._is_lost = True
        self._emptied = _do_nothing
        self._unsent.clear()
        self._settle(False)

    def _send_on(self) -> None:
        while self._unsent and not self.is_full:
            piece = next(self._unsent[0], None)
            if piece is None:
                self._unsent.popleft()
            else:
                self._transport.write(piece)

    def _settle(self, is_taken: bool) -> None:
        taken, self._taken = self._taken, None
        if taken:
            taken(is_taken)


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    for piece in pieces:
        if len(piece) <= PIECE:
            yield piece
        else:
            view = memoryview(piece)
            yield from (view[begin : begin + PIECE] for begin in range(0, len(piece), PIECE))


def _do_nothing() -> None:
    """Nothing is sent to a lost connection."""
