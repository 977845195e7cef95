"""How a server is told to stop."""

import os
import signal
import threading

STOP_SECONDS = 3.0
"""How long requests under way may take to end after `stop`."""


class Stoppable:
    """Something that runs until it is told to stop, by whichever thread, or by a signal."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask it to stop: no new connections, requests under way are answered. Returns at once."""
        self._stop.set()

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
