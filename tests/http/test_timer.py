"""Deadlines that move, and those that pass while the process stands still."""

import asyncio
from collections.abc import Iterator

import pytest

from peerbus.http.timer import Timer
from peerbus.standstill import STANDSTILL_SECONDS


class Events(asyncio.SelectorEventLoop):
    """A loop whose time only the test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def time(self) -> float:
        return self.now

    def pass_time(self, seconds: float) -> None:
        """Call what is due then, at the end of that time."""
        self.now += seconds
        for _ in range(3):
            self.call_soon(self.stop)
            self.run_forever()


@pytest.fixture
def events() -> Iterator[Events]:
    events = Events()
    yield events
    events.close()


@pytest.fixture
def expired() -> list[float]:
    return []


@pytest.fixture
def timer(events: Events, expired: list[float]) -> Timer:
    return Timer(events, lambda: expired.append(events.now))


def test_a_deadline_that_is_moved_ahead_passes_once_and_when_it_is_due(
    events: Events, timer: Timer, expired: list[float]
) -> None:
    timer.set(10.0)
    events.pass_time(5.0)
    timer.set(10.0)
    events.pass_time(5.0)
    assert expired == []
    events.pass_time(5.0)
    events.pass_time(50.0)
    assert expired == [115.0]


def test_a_deadline_that_passes_in_a_standstill_is_as_far_ahead_again(
    events: Events, timer: Timer, expired: list[float]
) -> None:
    timer.set(10.0)
    events.pass_time(10.0 + STANDSTILL_SECONDS + 1.0)
    assert expired == []
    events.pass_time(9.5)
    assert expired == []
    events.pass_time(0.5)
    assert expired == [121.0 + STANDSTILL_SECONDS]


def test_a_loop_that_is_a_little_late_is_no_standstill(events: Events, timer: Timer, expired: list[float]) -> None:
    timer.set(10.0)
    events.pass_time(10.0 + STANDSTILL_SECONDS)
    assert expired == [events.now]


def test_a_timer_that_was_stopped_does_not_begin_again(events: Events, timer: Timer, expired: list[float]) -> None:
    timer.set(10.0)
    timer.stop()
    events.pass_time(50.0)
    events.pass_time(50.0)
    assert expired == []
