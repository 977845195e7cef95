"""Histograms of durations."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Lock, local
from weakref import ref


class Histogram:
    """Durations counted in buckets, by one thread at a time.

    Each of the `buckets` counts durations above the bound before it, up to its own; the last one has no upper bound.
    """

    __slots__ = ("bounds", "buckets", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are in seconds, in ascending order."""
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.seconds = 0.0
        """The sum of all durations."""

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds

    def include(self, other: "Histogram") -> None:
        """Add the counts of another histogram with the same bounds."""
        self.buckets = [ours + others for ours, others in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds


ByCallAndStatus = defaultdict[str, defaultdict[int, Histogram]]


class _Owner:
    """Referenced by one thread only, and so collected when that ends."""


class _PerThread(local):
    """The histograms of the current thread."""

    def __init__(self, begin: Callable[[_Owner], ByCallAndStatus]) -> None:
        self.owner = _Owner()
        self.histograms = begin(self.owner)


class Durations:
    """Histograms of the durations of calls, by call and status, exact for any number of threads.

    Incrementing a number takes the interpreter several steps, between which another thread may run. So each thread
    counts in histograms of its own, without a lock; they are added up when they are read. The histograms of threads
    that ended are added up when another thread begins to count, since each stream has a thread.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are those of each `Histogram`."""
        self._bounds = bounds
        self._lock = Lock()
        self._ended = self._empty()
        """The sum of the threads that ended."""
        self._counting: list[tuple[ref[_Owner], ByCallAndStatus]] = []
        self._this_thread = _PerThread(self._begin)

    def add(self, call: str, status: int, seconds: float) -> None:
        """Count the duration of a call."""
        histogram = self._this_thread.histograms[call][status]
        histogram.buckets[bisect_left(self._bounds, seconds)] += 1
        histogram.seconds += seconds  # not by `Histogram.add`: calling it would cost as much as both lines

    def counted(self) -> dict[tuple[str, int], Histogram]:
        """The histograms of all threads together, by call and status."""
        totals = self._empty()
        with self._lock:
            for histograms in (self._ended, *(histograms for _, histograms in self._counting)):
                _include(totals, histograms)
        return {(call, status): histogram for call, of_call in totals.items() for status, histogram in of_call.items()}

    def _begin(self, owner: _Owner) -> ByCallAndStatus:
        """The histograms of a thread that begins to count."""
        histograms = self._empty()
        with self._lock:
            counting = [(ref(owner), histograms)]
            for alive, theirs in self._counting:
                if alive():
                    counting.append((alive, theirs))
                else:
                    _include(self._ended, theirs)
            self._counting = counting
        return histograms

    def _empty(self) -> ByCallAndStatus:
        bounds = self._bounds
        return defaultdict(lambda: defaultdict(lambda: Histogram(bounds)))


def _include(totals: ByCallAndStatus, histograms: ByCallAndStatus) -> None:
    """Add the histograms of a thread, which may go on counting meanwhile."""
    for call, of_call in list(histograms.items()):
        for status, histogram in list(of_call.items()):
            totals[call][status].include(histogram)
