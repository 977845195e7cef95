"""How long things took, counted in buckets."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from threading import local


class Tally:
    """Durations counted by one thread at a time.

    `buckets` says how many took up to each of the bounds, from the one before on, and last how many took longer.
    """

    __slots__ = ("bounds", "buckets", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are in seconds, the lowest first."""
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.seconds = 0.0
        """All durations together."""

    def add(self, seconds: float) -> None:
        """Something took so many seconds."""
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds

    def include(self, other: "Tally") -> None:
        """Add what another counted, with the same bounds."""
        self.buckets = [ours + others for ours, others in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds


Tallies = defaultdict[str, defaultdict[int, Tally]]


class _Mine(local):
    """What each thread counted: `tallies` are those of the thread that asks, and all of them are in `everyones`."""

    def __init__(self, everyones: list[Tallies], bounds: Sequence[float]) -> None:
        self.tallies: Tallies = defaultdict(lambda: defaultdict(lambda: Tally(bounds)))
        everyones.append(self.tallies)


class Durations:
    """Durations of calls, by call and status, counted exactly, whichever threads do it.

    Adding to a number takes the interpreter several steps, between which another thread may run. So each thread has
    numbers of its own, which no other writes, and none waits for a lock. They are put together when they are read,
    and stay when the thread ends.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are those of each `Tally`."""
        self._bounds = bounds
        self._everyones: list[Tallies] = []
        self._mine = _Mine(self._everyones, bounds)

    def add(self, call: str, status: int, seconds: float) -> None:
        """A call took so many seconds."""
        tally = self._mine.tallies[call][status]
        tally.buckets[bisect_left(self._bounds, seconds)] += 1
        tally.seconds += seconds  # not by `Tally.add`: calling it would cost as much as both lines

    def counted(self) -> dict[tuple[str, int], Tally]:
        """All that was added until now, by call and status."""
        totals: defaultdict[tuple[str, int], Tally] = defaultdict(lambda: Tally(self._bounds))
        for tallies in list(self._everyones):
            for call, of_call in list(tallies.items()):
                for status, tally in list(of_call.items()):
                    totals[call, status].include(tally)
        return dict(totals)
