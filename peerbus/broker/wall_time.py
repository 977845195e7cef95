"""The wall clock beside the broker's clock."""

from collections.abc import Callable

STEADY_MILLISECONDS = 10
"""Smaller changes of the difference between the two clocks are not followed."""


class WallTime:
    """The difference between the broker's clock, which only goes forwards, and the wall clock, which can be set.

    It is the same until the wall clock is set: so equal times of one clock are equal times of the other.
    """

    __slots__ = ("_ahead", "_clock", "_wall_clock")

    def __init__(self, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        """Both clocks give the time in seconds."""
        self._clock = clock
        self._wall_clock = wall_clock
        self._ahead = self._measured()

    @property
    def ahead(self) -> int:
        """Milliseconds by which the wall clock is ahead of the broker's."""
        measured = self._measured()
        if abs(measured - self._ahead) >= STEADY_MILLISECONDS:
            self._ahead = measured
        return self._ahead

    def _measured(self) -> int:
        return round((self._wall_clock() - self._clock()) * 1000)
