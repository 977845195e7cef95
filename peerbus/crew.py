"""Which of a server's threads work: one, and more only while some are blocked."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

TICK_SECONDS = 0.005
"""How long a thread may be at one request before another is called up."""
CALM_SECONDS = 1.0
"""How long after the last thread was found blocked those that were called up stay at work."""


class Crew:
    """Lets one thread of a pool work at a time, while the others rest where they cost nothing.

    Threads that take requests side by side spend more time passing the interpreter lock around than working: one
    alone answers up to three times as many. But a thread that is blocked, say by a client that sends half a body,
    must not hold up the rest. So a watch looks every `TICK_SECONDS`, while there are requests, whether a thread is
    still at the one it was at before, and then calls up another: as Go's runtime takes the processor away from a
    thread that is blocked in a system call (https://go.dev/src/runtime/proc.go, `sysmon`).

    A thread that rests has not returned from its request, so whatever that holds stays. One whose body was not read
    must go, or its client could not get rid of it and see the answer.

    The pool must start another thread when a request finds none free, up to its size, and never end one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leader: int | None = None
        """The thread that goes on to the next request, whatever happens."""
        self._resting: list[threading.Lock] = []
        """What those that rest wait for; they return from there to work."""
        self._at: dict[int, object] = {}
        """Stands for the request that each thread at work is at."""
        self._restless_until = 0.0
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
                self._resting.pop().release()

    def serving(self, app: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        """`app`, to be called by the threads of the pool: one that is not needed comes back late from it."""
        at, ident = self._at, threading.get_ident

        def serve(protocol: Any, environ: dict[str, Any]) -> None:
            me = ident()
            at[me] = object()
            if self._asleep:
                self._called.set()
            try:
                app(environ, protocol.response_bytes)
            finally:
                del at[me]
            if me != self._leader and not _has_unread_body(environ):
                environ.clear()
                self._rest(me)

        return serve

    def _rest(self, me: int) -> None:
        """Come back when this thread is to take the next request; one always goes on, for others may not exist."""
        with self._lock:
            if self._leader is None:
                self._leader = me
            if self._leader == me or monotonic() < self._restless_until or self._closed.is_set():
                return
            bed = threading.Lock()
            bed.acquire()
            self._resting.append(bed)
        bed.acquire()

    def _keep_watch(self) -> None:
        while not self._closed.is_set():
            self._called.wait()
            self._called.clear()
            self._asleep = False
            before: dict[int, object] = {}
            blocked: dict[int, object] = {}
            while self._at and not self._closed.wait(TICK_SECONDS):
                now = self._at.copy()
                still = {thread: request for thread, request in now.items() if before.get(thread) is request}
                for thread in still.keys() - blocked.keys():
                    self._call_up(thread)
                before, blocked = now, still
            self._asleep = True
            if self._at:
                self._called.set()

    def _call_up(self, blocked: int) -> None:
        with self._lock:
            self._restless_until = monotonic() + CALM_SECONDS
            if self._leader == blocked:
                self._leader = None
            if self._resting:
                self._resting.pop().release()


def _has_unread_body(environ: dict[str, Any]) -> bool:
    """Who reads a body to its end takes it out of the request."""
    return "wsgi.input" in environ and ("CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ)
