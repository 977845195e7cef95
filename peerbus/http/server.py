"""Serving an application in a loop: where a request is forwarded, one thread does all that it takes."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from peerbus.http.connection import Line
from peerbus.http.event_loop import Loop
from peerbus.http.known_heads import KnownHeads
from peerbus.http.listener import BACKLOG, MAX_CONNECTIONS, Stoppable, url_of
from peerbus.http.parser import Request
from peerbus.http.request_cycle import Turn
from peerbus.http.timeouts import LOOK_SECONDS, TIMEOUTS, BodyTimeouts, Timeouts
from peerbus.http.tls import Certificate, shown
from peerbus.http.types import Application, Environ

log = logging.getLogger(__name__)

MOST_GATHERED = 64 << 10
TLS_SECONDS = 10.0
"""How long a client may take until it speaks TLS, where it must."""


class LoopServer(Stoppable):
    """One HTTP/1.1 server on a bound socket.

    What `peerbus.serving.Server` is for calls that are work; this is for calls that are passed on. The thread that
    reads a request sends it on, and the one that reads the answer, which is the same, sends that back: a request
    wakes two threads less, which is most of what it takes (docs/performance.md).
    """

    def __init__(
        self,
        app: Application,
        loop: Loop,
        listener: socket.socket,
        threads: int,
        at_once: Collection[tuple[str, str]] = (),
        max_body: int = MOST_GATHERED,
        before_stop: Callable[[], None] = lambda: None,
        timeouts: Timeouts = TIMEOUTS,
        certificate: Certificate | None = None,
    ) -> None:
        """Takes the socket over: it is closed when the server stops; the loop stays its owner's.

        Requests whose method and path are in `at_once` are given to `app` in the loop, if they came whole: it must not
        block then. All others are given to it by a thread, of which there are as many as `threads`; one with a body of
        more than `max_body` bytes, or so many that they come in pieces, before that is there: `app` may refuse it.
        `before_stop` is called once when stopping begins, to let blocked requests end. With a
        `certificate` it is served by https.
        """
        super().__init__(before_stop)
        self.loop = loop
        self.url = url_of(listener, secured=certificate is not None)
        self.timeouts = timeouts
        self.most_gathered = min(max_body, MOST_GATHERED)
        """Bytes of the largest body that the loop waits for before it gives a request away."""
        self.stopping = False
        """Whether connections are closed when they are answered on."""
        self.heads: KnownHeads[Request] = KnownHeads()
        """The heads that came on any connection."""
        self._app = app
        self._listener = socket.socket(fileno=listener.detach())
        self._at_once = frozenset(at_once)
        self._tls = shown(certificate) if certificate else None
        self._accepting: asyncio.Server
        self._lines: set[Line] = set()
        self._gone = threading.Event()
        """Set when the server is stopping, and all connections are closed."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="serving")
        self._slow_bodies = BodyTimeouts(threads, Turn.give_up, timeouts.body)
        self._at: dict[int, tuple[Turn, Environ]] = {}
        """The request that each thread is at."""
        self._looking = False

    def start(self) -> None:
        """Begin to serve."""
        self._accepting = self.loop.wait_for(self._accept())

    def _end(self, seconds: float) -> bool:
        self.loop.call(self._close)
        ended = self._gone.wait(seconds)
        self.loop.call(self._abort)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return ended

    # What the lines call, in the loop

    def came(self, line: Line) -> None:
        """A client is connected."""
        self._lines.add(line)
        if self.stopping or len(self._lines) > MAX_CONNECTIONS:
            line.abort()

    def went(self, line: Line) -> None:
        """A connection is closed."""
        self._lines.discard(line)
        if self.stopping and not self._lines:
            self._gone.set()

    def give(self, turn: Turn) -> None:
        """Give a request to the application."""
        environ = turn.begin()
        if turn.complete and (environ["REQUEST_METHOD"], environ["PATH_INFO"]) in self._at_once:
            self._run(turn, environ)
            return
        try:
            self._threads.submit(self._run_in_a_thread, turn, environ)
        except RuntimeError:
            turn.respond(503, [], b"")

    # What it does

    def _run(self, turn: Turn, environ: Environ) -> None:
        try:
            self._app(environ, turn.respond)
        except Exception:
            log.exception("%s %s failed", environ.get("REQUEST_METHOD"), environ.get("PATH_INFO"))
            turn.respond(500, [], b"")

    def _run_in_a_thread(self, turn: Turn, environ: Environ) -> None:
        if turn.answered:  # it was refused for want of a thread, but the pool had taken it already
            return
        me = threading.get_ident()
        self._at[me] = turn, environ
        if not turn.complete:
            self.loop.call(self._keep_looking)
        try:
            self._run(turn, environ)
        finally:
            del self._at[me]

    def _keep_looking(self) -> None:
        """Cut off who sends a body too slowly, while threads are at work."""
        if not self._looking:
            self._look()

    def _look(self) -> None:
        self._slow_bodies.cut(self._at.copy(), monotonic())
        self._looking = bool(self._at)
        if self._looking:
            self.loop.events.call_later(LOOK_SECONDS, self._look)

    async def _accept(self) -> asyncio.Server:
        return await self.loop.events.create_server(
            lambda: Line(self),
            sock=self._listener,
            backlog=BACKLOG,
            ssl=self._tls,
            ssl_handshake_timeout=TLS_SECONDS if self._tls else None,
        )

    def _close(self) -> None:
        """Take no more connections, and close each when it is answered on."""
        self.stopping = True
        self._accepting.close()
        for line in list(self._lines):
            line.stop()
        if not self._lines:
            self._gone.set()

    def _abort(self) -> None:
        for line in list(self._lines):
            line.abort()
