"""One request and the response to it."""

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from peerbus.future import Future
from peerbus.http.upstream.body_stream import BodyStream

GIVE_UP_SECONDS = 0.5


class Response(NamedTuple):
    """A response with its whole body, unchanged; header names are in lower case."""

    status: int
    body: bytes
    headers: dict[bytes, bytes]


class Exchange(Future[Response]):
    """A request that is under way; the future of its response."""

    __slots__ = ("data", "deadline", "is_given_up", "on_give_up", "origin", "repeatable", "timeout")

    def __init__(self, origin: str, data: bytes, timeout: float, repeatable: bool) -> None:
        """`data` is the whole request. A `repeatable` one is sent again where a kept connection turns out closed."""
        super().__init__()
        self.origin = origin
        self.data = data
        self.repeatable = repeatable
        self.timeout = timeout
        self.deadline = monotonic() + timeout
        self.is_given_up = False
        self.on_give_up: Callable[[], None] | None = None
        """Ends the sending side of the connection that carries it; set by the connection."""

    def give_up(self) -> None:
        """Wait for no response but one that is on its way. In the thread of the pool's loop.

        The other side sees that nothing more is sent, and ends a call that waits; if it responded before, the
        response comes. Otherwise the future fails, at the latest after `GIVE_UP_SECONDS`. No effect when it is done.
        """
        if self.done:
            return
        self.is_given_up = True
        self.timeout = GIVE_UP_SECONDS
        self.deadline = min(self.deadline, monotonic() + GIVE_UP_SECONDS)
        if self.on_give_up:
            self.on_give_up()


class StreamExchange(Exchange):
    """A request whose response has a body without a foreseeable end, if its status is 200.

    The future is done with the head of such a response; the body is read from `stream`.
    """

    __slots__ = ("silence", "stream")

    def __init__(self, origin: str, data: bytes, timeout: float, silence: float) -> None:
        """`timeout` seconds may pass before the head, `silence` seconds between parts of the body."""
        super().__init__(origin, data, timeout, repeatable=True)
        self.silence = silence
        self.stream: BodyStream | None = None

    def abandon(self) -> None:
        """Close the stream, now or as soon as it opens."""
        self.add_done_callback(lambda _: self.stream.close() if self.stream else None)
