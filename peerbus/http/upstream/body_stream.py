"""The body of a response, read while it comes."""

import asyncio
from typing import Self

from peerbus.http.timer import Timer
from peerbus.http.upstream.errors import StreamClosed, TimedOut, UpstreamError

MAX_BUFFERED = 1 << 16
"""Bytes that came and were not read, from which on no more are taken from the connection."""


class BodyStream:
    """An asynchronous iterator over a body: each part is all that came since the part before, never empty.

    Iteration stops after a whole body. It raises `Unreachable` where the connection broke, and `TimedOut` after too
    long a silence, each after the parts that came before; and `StreamClosed` at once after `close`.

    For one reader, in the thread of the pool's loop. A reader that does not read holds up the sender: at most
    `MAX_BUFFERED` bytes and one read of the connection are buffered, and the silence is not measured meanwhile.
    """

    def __init__(self, transport: asyncio.Transport, headers: dict[bytes, bytes], silence: float) -> None:
        """`silence` is in seconds."""
        self.headers = headers
        """The headers of the response, their names in lower case."""
        self._transport = transport
        self._events = asyncio.get_running_loop()
        self._silence = silence
        self._timer = Timer(self._events, self._fall_silent)
        self._timer.set(silence)
        self._parts: list[bytes] = []
        self._buffered = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: UpstreamError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._parts:
            if self._error:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._waiter = self._events.create_future()
            await self._waiter
        part = b"".join(self._parts)
        self._drop_buffer()
        return part

    def close(self) -> None:
        """End the stream on this side, and its connection with it; no effect after the end."""
        if not self._ended:
            self.end(StreamClosed("closed"))
            self._drop_buffer()
            self._transport.abort()

    # Called by the connection

    def feed(self, part: bytes) -> None:
        """More of the body came, or at least a sign of life."""
        if self._ended:
            return
        self._timer.set(self._silence)
        if part:
            self._parts.append(part)
            self._buffered += len(part)
            if self._buffered >= MAX_BUFFERED and not self._paused:
                self._paused = True
                self._transport.pause_reading()
                self._timer.stop()
            self._wake()

    def end(self, error: UpstreamError | None = None) -> None:
        """The body is whole, or broke off because of `error`; only the first end counts."""
        if self._ended:
            return
        self._ended = True
        self._error = error
        self._timer.cancel()
        self._resume()
        self._wake()

    def _fall_silent(self) -> None:
        self.end(TimedOut("no sign of life in time"))
        self._transport.abort()

    def _drop_buffer(self) -> None:
        self._parts.clear()
        self._buffered = 0
        self._resume()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
            if not self._ended:
                self._timer.set(self._silence)

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)
