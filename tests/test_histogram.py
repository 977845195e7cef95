"""How long things took, counted exactly."""

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from sys import getswitchinterval, setswitchinterval
from threading import Barrier, Thread

import pytest

from peerbus.histogram import Durations, Histogram

THREADS, TIMES = 8, 20_000


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = getswitchinterval()
    setswitchinterval(1e-6)
    yield
    setswitchinterval(before)


def seen(durations: Durations) -> dict[tuple[str, int], tuple[list[int], float]]:
    return {key: (histogram.buckets, histogram.seconds) for key, histogram in durations.counted().items()}


def test_each_falls_into_the_bucket_of_the_first_bound_that_it_does_not_pass() -> None:
    histogram = Histogram((0.125, 1.0))
    for seconds in (0.0, 0.125, 0.5, 1.0, 1.5, 60.0):
        histogram.add(seconds)
    assert (histogram.buckets, histogram.seconds) == ([2, 2, 2], 63.125)


def test_calls_and_statuses_are_counted_apart() -> None:
    durations = Durations((0.125, 1.0))
    for call, status, seconds in (("a", 200, 0.5), ("a", 404, 0.0), ("b", 200, 2.0), ("a", 200, 1.5)):
        durations.add(call, status, seconds)
    assert seen(durations) == {
        ("a", 200): ([0, 1, 1], 2.0),
        ("a", 404): ([1, 0, 0], 0.0),
        ("b", 200): ([0, 0, 1], 2.0),
    }


@pytest.mark.usefixtures("restless")
def test_no_count_is_lost_whichever_threads_count_at_once_and_end() -> None:
    durations = Durations((1.0,))
    together = Barrier(THREADS)

    def count(_: int) -> None:
        together.wait()
        for _ in range(TIMES):
            durations.add("call", 200, 0.5)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(count, range(THREADS)))
    assert seen(durations) == {("call", 200): ([THREADS * TIMES, 0], THREADS * TIMES / 2)}


def test_threads_that_come_and_go_are_counted_and_leave_nothing_behind_each() -> None:
    durations = Durations((1.0,))
    before = histograms()
    for _ in range(100):
        thread = Thread(target=durations.add, args=("stream", 200, 0.5))
        thread.start()
        thread.join()
    assert histograms() - before < 10
    assert seen(durations) == {("stream", 200): ([100, 0], 50.0)}


def histograms() -> int:
    """How many there are."""
    return sum(isinstance(each, Histogram) for each in gc.get_objects())
