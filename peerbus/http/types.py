"""Types between a connection and the application behind it: heads, requests, routes and replies."""

import re
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol

from msgspec import Struct

from peerbus.future import Future

Headers = Sequence[tuple[str, str]]
ADDED = "peerbus-added"
"""The header by which a peer node says how many bytes it added to a body: they do not count against its limit."""
MOST_ADDED = 4096
"""Bytes that a node may say so of: its peer's id, its address, and where messages are pushed."""

DIGITS = re.compile(r"[0-9]{1,9}")


class Head:
    """The parsed head of a request. It never changes, so one object serves every request with the same bytes.

    Header names are in lower case; the values of a repeated header are joined by commas. `length` is the declared
    length of the body in bytes, 0 without a body and for a `chunked` one; a peer node `added` some of them.
    """

    __slots__ = (
        "added",
        "chunked",
        "expects_continue",
        "headers",
        "is_old",
        "keep_alive",
        "length",
        "method",
        "path",
        "query",
        "route",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        *,
        is_old: bool = False,
        keep_alive: bool = True,
        chunked: bool = False,
    ) -> None:
        """`is_old` is for HTTP/1.0."""
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.is_old = is_old
        self.keep_alive = keep_alive
        self.chunked = chunked
        self.length = int(headers.get("content-length", 0))
        added = headers.get(ADDED, "")
        self.added = min(int(added), MOST_ADDED) if DIGITS.fullmatch(added) else 0
        self.expects_continue = "expect" in headers and not is_old
        self.route: Route
        """The route of requests with this head; set by the server."""

    @property
    def call(self) -> str:
        """Method and path, as errors and logs name them; a HEAD is answered as a GET."""
        method = "GET" if self.method == "HEAD" else self.method
        return f"{method} {self.path.encode('latin-1').decode(errors='replace')}"

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.chunked or self.length > 0

    @property
    def is_plain(self) -> bool:
        """Whether a request is whole when `length` bytes follow the head."""
        return not (self.chunked or self.expects_continue or (self.method == "HEAD" and self.length))


class Request:
    """One request: its head, the whole of its body, and the address of its client."""

    __slots__ = ("began", "body", "checks", "client", "head", "is_admitted", "on_gone", "waits")

    def __init__(self, head: Head, body: bytes, client: str) -> None:
        self.head = head
        self.body = body
        self.client = client
        self.is_admitted = False
        """Whether the guards of its route let it in already."""
        self.checks: list[Callable[[Any], None]] = []
        """Checks that the guards leave until the request is decoded; each may raise."""
        self.waits = False
        """Whether its answer may wait for a message: a pull with `wait`."""
        self.on_gone: Callable[[], None] | None = None
        """Called in the loop if the client is gone before the answer."""
        self.began = 0.0
        """When its route began to answer it, by `perf_counter`; 0 before."""


BODY_PIECE = 256 << 10
"""Bytes from which on the values of a body make a piece."""


class LargeBody:
    """A body with many values, separated by commas: its pieces are made one by one, as they are sent."""

    __slots__ = ("_after", "_before", "_size", "_values")

    def __init__(self, before: bytes, values: Sequence[bytes], after: bytes) -> None:
        self._before = before
        self._values = values
        self._after = after
        self._size = len(before) + sum(map(len, values)) + max(0, len(values) - 1) + len(after)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        piece, size = [self._before], len(self._before)
        for number, value in enumerate(self._values):
            if number:
                piece.append(b",")
            if len(value) >= BODY_PIECE:  # it is a piece by itself, which needs no copy
                yield b"".join(piece)
                piece = []
            piece.append(value)
            size += len(value) + 1
            if size >= BODY_PIECE:
                yield b"".join(piece)
                piece, size = [], 0
        yield b"".join([*piece, self._after])


class Sink(Protocol):
    """Where a stream goes."""

    async def write(self, part: bytes | LargeBody) -> bool:
        """Send a part and wait until the connection took it; false where the client is gone."""


class Reply(Struct, gc=False):
    """A status, headers and a body, ready to be sent.

    `on_lost` is called in the loop if the client does not get the reply. With
    `stream` there is no body: the coroutine that it makes writes one, for as long as it likes.
    """

    status: int
    body: bytes | LargeBody
    headers: Headers
    on_lost: Callable[[], None] | None = None
    stream: Callable[[Sink], Coroutine[Any, Any, None]] | None = None


class Route(Protocol):
    """Answers the requests that have one head."""

    max_body: int
    """Bytes of the largest body that is taken."""
    in_loop: bool
    """Whether `answer` may be called in the event loop: it blocks nothing then."""

    def refuse(self, request: Request) -> Reply | None:
        """The reply that refuses a request by its head alone; None admits it."""

    def answer(self, request: Request) -> Reply | Future[Reply]:
        """Answer a request whose body came. A future is given to `answered` when it is done."""

    def handle(self, request: Request) -> Reply | Future[Reply]:
        """Do as `answer`, in any thread; a reply is given to `answered` as well, which counts it."""

    def answered(self, request: Request, done: Future[Reply]) -> Reply:
        """The reply to a request whose future is done."""

    def failed(self, request: Request, error: Exception) -> Reply:
        """The reply to a request that cannot be answered because of `error`."""


Router = Callable[[Head], Route]
"""Finds the route of a head."""
