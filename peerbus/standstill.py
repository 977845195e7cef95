"""Standstills of this process: it was stopped or swapped out, its machine slept, or one piece of work took too long."""

STANDSTILL_SECONDS = 1.0
"""A longer pause between two beats, which come several times a second, is a standstill.

Work of the server takes milliseconds at a time. A pause that is taken for a standstill by mistake costs little: a peer
that fell silent has a little more time.
"""
_NEVER = float("inf")


class Standstill:
    """Notices standstills by the pauses between beats.

    In a standstill the others are not silent: nobody hears them. What they sent is read after it, and perhaps after the
    timers that ran out meanwhile.
    """

    __slots__ = ("_beat", "_seconds", "ended")

    def __init__(self) -> None:
        self._beat = _NEVER
        self._seconds = 0.0
        self.ended = -_NEVER
        """When the last standstill ended, as far as is noticed."""

    def beat(self, now: float) -> float:
        """The process goes on at `now`. Returns for how many seconds it stood still since the last call."""
        self.check(now)
        self._beat = now
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def check(self, now: float) -> float:
        """When the last standstill ended, for decisions that are taken `now`: it may have ended just now."""
        if now - self._beat > STANDSTILL_SECONDS:
            self._seconds += now - self._beat
            self.ended = self._beat = now
        return self.ended

    def begin(self, now: float) -> None:
        """Beats begin `now`, after none came for some time."""
        self._beat = now
