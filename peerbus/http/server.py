"""The HTTP/1.1 server: an event loop that accepts connections, and a few threads for pages and large bodies."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from peerbus.errors import NotReady
from peerbus.future import Future, settle
from peerbus.http.connection import Connection
from peerbus.http.event_loop import Loop
from peerbus.http.handovers import Handovers
from peerbus.http.known_heads import KnownHeads
from peerbus.http.listener import BACKLOG, LEAST_SECONDS, MAX_CONNECTIONS, Listener, Stoppable, open_files
from peerbus.http.timeouts import TIMEOUTS, BodyMemory, Timeouts
from peerbus.http.tls import Certificate, server_context
from peerbus.http.types import Head, Reply, Request, Router

log = logging.getLogger(__name__)

BODIES = 32
"""Bodies of the largest size that may come at one time."""
SPARE_FILES = 16
"""Files left to open at which the limit is reported: at the limit itself, connections are closed without a word."""
WARNING_SECONDS = 60.0
TLS_SECONDS = 10.0
"""How long a client may take for the handshake of TLS."""


class Server(Stoppable):
    """Serves the routes of a router on bound sockets.

    The thread of the loop reads requests, answers them where their route allows it, and sends the answers. Pages, and
    requests with large bodies, are answered in one of `threads` other threads.
    """

    def __init__(
        self,
        router: Router,
        loop: Loop,
        listener: Listener,
        threads: int,
        max_body: int,
        before_stop: Callable[[], None] = lambda: None,
        timeouts: Timeouts = TIMEOUTS,
        certificate: Certificate | None = None,
    ) -> None:
        """Take the sockets over; they are closed when the server stops. The loop stays its owner's.

        `max_body` is the size of the largest body that any route takes. `before_stop` is called once when stopping
        begins, to let waiting requests end. With a `certificate` the server speaks https.
        """
        super().__init__(before_stop)
        self.loop = loop
        self.url = listener.urls(secured=certificate is not None)[0]
        self.router = router
        self.heads: KnownHeads[Head] = KnownHeads()
        self.handovers = Handovers(loop.events)
        self.timeouts = timeouts
        self.bodies = BodyMemory(loop.events, BODIES * max_body)
        self.is_stopping = False
        self._next_warning = 0.0
        self._sockets = [socket.socket(fileno=each.detach()) for each in listener.sockets]
        self._tls = server_context(certificate) if certificate else None
        self._accepting: list[asyncio.Server]
        self._connections: set[Connection] = set()
        self._all_closed = threading.Event()
        """Set when the server is stopping and has no connection left."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="serving")

    def start(self) -> None:
        """Begin to serve."""
        self._accepting = self.loop.wait_for(self._accept())

    def replace_router(self, router: Router) -> None:
        """Route requests by another router from now on; those under way keep their route. Called in the loop."""
        self.router = router
        self.heads.forget()

    def stop(self) -> None:
        """Ask it to stop: from now on each answer says that its connection is closed. Returns at once."""
        self.is_stopping = True
        super().stop()

    def _end(self, seconds: float) -> bool:
        self.loop.call(self._close)
        ended = self._all_closed.wait(seconds)
        self.loop.call(self._abort)
        self._all_closed.wait(LEAST_SECONDS)
        self._threads.shutdown(wait=False, cancel_futures=True)
        return ended

    # Called by the connections, in the loop

    def opened(self, connection: Connection) -> None:
        """A client connected. Reports, at most once a minute, that there is room for no more or hardly any."""
        self._connections.add(connection)
        files = open_files()
        if connection.fileno() >= files - SPARE_FILES:
            self._warn(f"Nearly all of the {files} files that may be open are: further connections are closed soon.")
        if len(self._connections) > MAX_CONNECTIONS:
            self._warn(f"{MAX_CONNECTIONS} connections are open, as many as there may be: further ones are closed.")
            connection.abort()
        elif self.is_stopping:
            connection.abort()

    def closed(self, connection: Connection) -> None:
        """A connection is gone, and its stream has ended."""
        self._connections.discard(connection)
        if self.is_stopping and not self._connections:
            self._all_closed.set()

    def answer_in_thread(self, request: Request) -> Future[Reply]:
        """Have the route handle a request in another thread than the loop's."""
        future: Future[Reply] = Future()
        try:
            self._threads.submit(_answer_in_thread, request, future)
        except RuntimeError:
            future.set_exception(NotReady("The server has no thread for this request now."))
        return future

    # In the loop

    def _warn(self, sentence: str) -> None:
        now = monotonic()
        if now >= self._next_warning:
            self._next_warning = now + WARNING_SECONDS
            log.warning("%s", sentence)

    async def _accept(self) -> list[asyncio.Server]:
        return [
            await self.loop.events.create_server(
                lambda: Connection(self),
                sock=each,
                backlog=BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=TLS_SECONDS if self._tls else None,
            )
            for each in self._sockets
        ]

    def _close(self) -> None:
        """Accept no more connections, and close each when it is answered."""
        for accepting in self._accepting:
            accepting.close()
        for connection in list(self._connections):
            connection.stop()
        if not self._connections:
            self._all_closed.set()

    def _abort(self) -> None:
        for connection in list(self._connections):
            connection.abort()


def _answer_in_thread(request: Request, future: Future[Reply]) -> None:
    if not future.done:  # else it was refused for want of a thread, but the pool keeps it for the next one
        settle(future, request.head.route.handle, request)
