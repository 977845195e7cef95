"""Which of a server's threads work: one, and more only while some are blocked."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from peerbus.http.timeouts import LOOK_SECONDS, BodyTimeouts, Request
from peerbus.http.types import IN_PARTS, Headers, has_unread_body

TICK_SECONDS = 0.005
"""How long a thread may be at one request before another is called up."""
CLOSE = ("Connection", "close")
"""Said where a body is left unread: granian may end the connection for that, and by itself would not tell."""
DIGITS_OF_LARGE = 5
"""A body of as many bytes as need so many digits may take a while to come."""
SLOW_SECONDS = 1.0
"""How long large bodies are expected to come slowly, after one did."""


class Crew:
    """Lets one thread of a pool work at a time, while the others rest where they cost nothing.

    Threads that take requests side by side spend more time passing the interpreter lock around than working: one
    alone answers up to three times as many. But a thread that is blocked, say by a client that sends half a body,
    must not hold up the rest. So a watch looks every `TICK_SECONDS`, while there are requests, whether the one that
    leads is still at the one it was at before, and then lets another lead: as Go's runtime takes the processor away
    from a thread that is blocked in a system call (https://go.dev/src/runtime/proc.go, `sysmon`). Where that was for
    a body that came slowly, another leads at once for every large one of the next `SLOW_SECONDS`.

    A thread that rests has not returned from its request, so whatever that holds stays. One whose body was not read
    must go, or its client could not get rid of it and see the answer.

    The pool must start another thread when a request finds none free, up to its size, and never end one.
    """

    def __init__(self, slow_bodies: BodyTimeouts) -> None:
        self._slow_bodies = slow_bodies
        self._lock = threading.Lock()
        self._leader: int | None = None
        """The thread that goes on to the next request, whatever happens."""
        self._resting: list[tuple[int, threading.Lock]] = []
        """Those that rest, and what each waits for; it returns from there to work."""
        self._at: dict[int, Request] = {}
        """The request that each thread at work is at."""
        self._slow_until = 0.0
        """Until when large bodies are expected to come slowly."""
        self._asleep = True
        """Whether the watch waits for a request."""
        self._called = threading.Event()
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._keep_watch, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._watch.start()

    def close(self) -> None:
        """Let all threads go, and none rest again."""
        self._closed.set()
        self._called.set()
        with self._lock:
            while self._resting:
                _, bed = self._resting.pop()
                bed.release()

    def serving(self, app: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        """`app`, to be called by the threads of the pool: one that is not needed comes back late from it."""
        at, ident = self._at, threading.get_ident

        def serve(protocol: Any, environ: dict[str, Any]) -> None:
            me = ident()
            at[me] = protocol, environ
            if self._asleep:
                self._called.set()
            if len(environ.get("CONTENT_LENGTH", "")) >= DIGITS_OF_LARGE and monotonic() < self._slow_until:
                self._replace(me)
            environ[IN_PARTS] = protocol.response_iter

            def respond(status: int, headers: Headers, body: bytes) -> None:
                if "wsgi.input" in environ and has_unread_body(environ):
                    headers = [*headers, CLOSE]
                protocol.response_bytes(status, headers, body)

            try:
                app(environ, respond)
            finally:
                del at[me]
            if me != self._leader and not has_unread_body(environ):
                environ.clear()
                self._rest(me)

        return serve

    def _rest(self, me: int) -> None:
        """Come back when this thread is to take the next request; one always goes on, for others may not exist."""
        with self._lock:
            if self._leader is None:
                self._leader = me
            if self._leader == me or self._closed.is_set():
                return
            bed = threading.Lock()
            bed.acquire()
            self._resting.append((me, bed))
        bed.acquire()

    def _replace(self, blocked: int) -> None:
        """Let another thread lead, if one rests, while the one that does is blocked; or else the first that is free."""
        with self._lock:
            if self._leader != blocked:
                return
            self._leader = None
            if self._resting:
                self._leader, bed = self._resting.pop()
                bed.release()

    def _keep_watch(self) -> None:
        while not self._closed.is_set():
            self._called.wait()
            self._called.clear()
            self._asleep = False
            before: tuple[int | None, Request | None] = None, None
            look_at = monotonic()
            while self._at and not self._closed.wait(TICK_SECONDS):
                if (time := monotonic()) >= look_at:
                    look_at = time + LOOK_SECONDS
                    self._slow_bodies.cut(self._at.copy(), time)
                leader = self._leader
                now = leader, self._at.get(leader or 0)
                if leader is not None and now[1] is not None and now == before:
                    if has_unread_body(now[1][1]):
                        self._slow_until = time + SLOW_SECONDS
                    self._replace(leader)
                before = now
            self._asleep = True
            if self._at:
                self._called.set()
