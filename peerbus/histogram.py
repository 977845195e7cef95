"""How long things took, counted in buckets."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Lock, local
from weakref import ref


class Histogram:
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

    def include(self, other: "Histogram") -> None:
        """Add what another counted, with the same bounds."""
        self.buckets = [ours + others for ours, others in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds


Histograms = defaultdict[str, defaultdict[int, Histogram]]


class _Life:
    """What a thread alone holds, and lets go of when it ends."""


class _Mine(local):
    """What the thread that asks counts in."""

    def __init__(self, begin: Callable[[_Life], Histograms]) -> None:
        self.life = _Life()
        self.histograms = begin(self.life)


class Durations:
    """Durations of calls, by call and status, counted exactly, whichever threads do it.

    Adding to a number takes the interpreter several steps, between which another thread may run. So each thread has
    numbers of its own, which no other writes, and none waits for a lock. They are put together when they are read.
    Those of threads that ended are put together when another thread begins to count: streams have one each.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are those of each `Histogram`."""
        self._bounds = bounds
        self._lock = Lock()
        self._ended = self._none()
        """What threads counted that have ended."""
        self._counting: list[tuple[ref[_Life], Histograms]] = []
        self._mine = _Mine(self._begin)

    def add(self, call: str, status: int, seconds: float) -> None:
        """A call took so many seconds."""
        histogram = self._mine.histograms[call][status]
        histogram.buckets[bisect_left(self._bounds, seconds)] += 1
        histogram.seconds += seconds  # not by `Histogram.add`: calling it would cost as much as both lines

    def counted(self) -> dict[tuple[str, int], Histogram]:
        """All that was added until now, by call and status."""
        totals = self._none()
        with self._lock:
            for histograms in (self._ended, *(histograms for _, histograms in self._counting)):
                _include(totals, histograms)
        return {(call, status): histogram for call, of_call in totals.items() for status, histogram in of_call.items()}

    def _begin(self, life: _Life) -> Histograms:
        """What a thread is to count in from now on."""
        histograms = self._none()
        with self._lock:
            counting = [(ref(life), histograms)]
            for alive, theirs in self._counting:
                if alive():
                    counting.append((alive, theirs))
                else:
                    _include(self._ended, theirs)
            self._counting = counting
        return histograms

    def _none(self) -> Histograms:
        bounds = self._bounds
        return defaultdict(lambda: defaultdict(lambda: Histogram(bounds)))


def _include(totals: Histograms, histograms: Histograms) -> None:
    """Add what a thread counted, which may go on counting."""
    for call, of_call in list(histograms.items()):
        for status, histogram in list(of_call.items()):
            totals[call][status].include(histogram)
