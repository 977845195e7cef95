"""An event loop in a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import uvloop

from peerbus.errors import NotReady
from peerbus.future import Future
from peerbus.histogram import Histogram
from peerbus.standstill import Standstill

T = TypeVar("T")

log = logging.getLogger(__name__)

Steps = Generator[None, None, T]
"""Long work in steps of a few milliseconds each; it returns its result."""
PROBE_SECONDS = 0.1
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Loop:
    """Runs callbacks and coroutines one after the other in one thread; none of them may block."""

    def __init__(self, name: str) -> None:
        self.events: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        """The loop itself, for callers that run in it."""
        self.events.set_exception_handler(_log_fault)
        self.lag = Histogram(LAG_BOUNDS)
        """Delays of a timer in seconds: so long other work kept the loop busy."""
        self.standstill = Standstill()
        """By the clock `monotonic`; noticed while the lag is measured."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._stepping: set[Future[Any]] = set()
        """Futures of the long work under way; they fail when the loop closes."""
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self.events.run_forever, name=name, daemon=True)
        self._thread.start()
        self._ident = self._thread.ident
        """None once the thread has ended: the system gives its identity to other threads."""

    @property
    def here(self) -> bool:
        """Whether the caller runs in the loop."""
        return threading.get_ident() == self._ident

    def call(self, function: Callable[..., object], *arguments: object) -> bool:
        """Call a function in the loop: before this returns if the caller runs in it, otherwise soon.

        Returns false if the loop is closed; the function is not called then.
        """
        if threading.get_ident() == self._ident:
            function(*arguments)
            return True
        return self.call_soon(function, *arguments)

    def call_soon(self, function: Callable[..., object], *arguments: object) -> bool:
        """Call a function in the loop, after the present callback; returns false if the loop is closed."""
        if threading.get_ident() == self._ident:
            self.events.call_soon(function, *arguments)
            return True
        with self._lock:
            if not self._closed:
                self.events.call_soon_threadsafe(function, *arguments)
            return not self._closed

    def run_steps(self, steps: Steps[T]) -> Future[T]:
        """Run long work in the loop, step by step; other work runs between the steps."""
        future: Future[T] = Future()
        self._stepping.add(future)
        if not self.call(self._step, steps, future):
            self._stepping.discard(future)
            future.set_exception(_closed())
        return future

    def run(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the loop, for a caller in the loop that does not wait."""
        future: Future[T] = Future()

        async def settle() -> None:
            try:
                result = await work
            except Exception as error:  # noqa: BLE001  # the error is the future's
                future.set_exception(error)
            else:
                future.set_result(result)

        task = self.events.create_task(settle())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return future

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for its result, or raise its error; not for callers in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.events).result()

    async def result_of(self, future: Future[T]) -> T:
        """The result of a future, awaited in the loop; raises its error. Cancelling this does not change the future."""
        waiter = self.events.create_future()

        def release() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def released(_: Future[T]) -> None:
            self.call(release)

        future.add_done_callback(released)
        await waiter
        try:
            return future.result()
        finally:
            del future  # the traceback of its error refers to this frame

    def measure_lag(self) -> None:
        """Begin to measure how long single callbacks keep other work waiting."""
        self.call_soon(self._probe, None)

    def close(self) -> None:
        """End the loop, after all functions that it was asked to call before."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.events.call_soon_threadsafe(self.events.stop)
        self._thread.join()
        self._ident = None
        self.events.close()
        while self._stepping:
            self._stepping.pop().set_exception(_closed())

    def _step(self, steps: Steps[T], future: Future[T]) -> None:
        try:
            next(steps)
        except StopIteration as end:
            self._stepping.discard(future)
            future.set_result(end.value)
        except Exception as error:  # noqa: BLE001  # the error is the future's
            self._stepping.discard(future)
            future.set_exception(error)
        else:
            self.events.call_soon(self._step, steps, future)

    def _probe(self, due: float | None) -> None:
        now = self.events.time()
        self.standstill.beat(monotonic())
        if due is not None:
            self.lag.add(max(0.0, now - due))
        self.events.call_later(PROBE_SECONDS, partial(self._probe, now + PROBE_SECONDS))


def _closed() -> NotReady:
    return NotReady("The server is stopping.")


def _log_fault(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error in a callback; a broken connection is logged at debug, because it is no fault of the server."""
    error = context.get("exception")
    if isinstance(error, OSError):
        log.debug("%s: %s", context["message"], error)
    else:
        log.error("%s", context["message"], exc_info=error)
