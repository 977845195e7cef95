"""An event loop in a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

log = logging.getLogger(__name__)


class Loop:
    """Runs what connections bring, one after the other, in one thread; nothing that it runs may block."""

    def __init__(self, name: str) -> None:
        self.events: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        """The loop itself, for what runs in it."""
        self.events.set_exception_handler(_note)
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self.events.run_forever, name=name, daemon=True)
        self._thread.start()
        self._ident = self._thread.ident

    @property
    def here(self) -> bool:
        """Whether the caller runs in it."""
        return threading.get_ident() == self._ident

    def call(self, function: Callable[..., object], *arguments: object) -> bool:
        """Call a function in the loop: before this returns where the caller runs in it, or else soon.

        False where it is not called, for the loop is closed.
        """
        if threading.get_ident() == self._ident:
            function(*arguments)
            return True
        with self._lock:
            if not self._closed:
                self.events.call_soon_threadsafe(function, *arguments)
            return not self._closed

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns, run in the loop while the caller, who must not, waits; raises what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self.events).result()

    def close(self) -> None:
        """End the loop, when it has called what it was asked to."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.events.call_soon_threadsafe(self.events.stop)
        self._thread.join()
        self.events.close()


def _note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what went wrong in a loop; connections break, which is nobody's fault here."""
    error = context.get("exception")
    if isinstance(error, OSError):
        log.debug("%s: %s", context["message"], error)
    else:
        log.error("%s", context["message"], exc_info=error)
