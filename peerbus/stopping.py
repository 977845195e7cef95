"""How a server is told to stop."""

import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic

STOP_SECONDS = 3.0
"""How long requests under way may take to end after `stop`."""
LEAST_SECONDS = 1.0
"""How long they may take if what comes before took all that time."""


class Stoppable(ABC):
    """Something that runs until it is told to stop, by whichever thread, or by a signal."""

    def __init__(self, before_stop: Callable[[], None]) -> None:
        """`before_stop` is called once when stopping begins, to let blocked requests end."""
        self._stop = threading.Event()
        self._before_stop = before_stop

    def stop(self) -> None:
        """Ask it to stop: no new connections, requests under way are answered. Returns at once."""
        self._stop.set()

    def wait(self) -> bool:
        """Wait for `stop` to be called, then for the requests under way; false if some did not end in time."""
        self._stop.wait()
        begun = monotonic()
        self._before_stop()
        return self._end(max(LEAST_SECONDS, STOP_SECONDS - (monotonic() - begun)))

    @abstractmethod
    def _end(self, seconds: float) -> bool:
        """Take nothing more on, and wait so long for what is under way; false if it did not end."""

    def stop_on_signals(self) -> None:
        """Stop on SIGTERM and Ctrl-C.

        The system may hand a signal to any thread, and Python's handlers then wait for the main thread, which
        sleeps. The byte that Python writes at once, from whichever thread, wakes one that does nothing else.
        """
        arrived, arriving = os.pipe()
        os.set_blocking(arriving, False)
        signal.set_wakeup_fd(arriving, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._stop_after, args=(arrived,), name="signals", daemon=True).start()

    def _stop_after(self, arrived: int) -> None:
        os.read(arrived, 1)
        self.stop()
