"""The time of day for times of the broker's own clock."""

from collections.abc import Callable

WAS_SET = 2.0
"""Milliseconds by which the clocks move apart when one of them is set; a smaller difference is inexact measuring."""


class WallClock:
    """Knows how far the wall clock is ahead of the broker's.

    The broker's clock goes on steadily; the wall clock may be set, and then all times are others. Until then, a time
    is always the same.
    """

    __slots__ = ("_ahead", "_clock", "_wall_clock")

    def __init__(self, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._ahead = 0

    @property
    def ahead(self) -> int:
        """Milliseconds by which the wall clock, in seconds since 1970, is ahead of the broker's."""
        ahead = (self._wall_clock() - self._clock()) * 1000
        if abs(ahead - self._ahead) > WAS_SET:
            self._ahead = round(ahead)
        return self._ahead


def of_day(time: float | None, ahead: int) -> float | None:
    """The seconds since 1970, to the millisecond, at a time of the broker's clock in seconds, if it is known."""
    return None if time is None else (round(time * 1000) + ahead) / 1000
