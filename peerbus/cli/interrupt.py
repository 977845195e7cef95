"""Ctrl-C, SIGTERM and SIGHUP, held back while work must not be interrupted."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 3.0
"""The longest that an interruption is held back."""


class Interruption:
    """Raises `KeyboardInterrupt` for Ctrl-C, SIGTERM and SIGHUP: at once, or after a block that holds it back.

    Signals that are ignored, by `nohup` or a shell's `&`, stay ignored.
    """

    def __init__(self) -> None:
        self._held = False
        self._came = False

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Handle the signals until the end of the block."""
        taken = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = [(number, signal.signal(number, self._arrived)) for number in (*taken, signal.SIGALRM)]
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before:
                signal.signal(number, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Hold the first interruption back until the end of the block, for `GRACE_SECONDS` at most."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._came:
            raise KeyboardInterrupt

    def _arrived(self, *_: object) -> None:
        if not self._held or self._came:
            raise KeyboardInterrupt
        self._came = True
        signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)
