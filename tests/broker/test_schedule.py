"""The schedule against a plain dictionary of times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerbus.broker.structures import NEVER, Schedule

STEPS = st.lists(st.tuples(st.sampled_from(["set", "set", "discard", "take"]), st.integers(0, 5), st.integers(0, 10)))


@given(STEPS)
def test_it_takes_what_is_due_and_nothing_else(steps: list[tuple[str, int, int]]) -> None:
    schedule: Schedule[int] = Schedule()
    times: dict[int, int] = {}
    """In the order in which they were set."""
    for step, key, time in steps:
        if step == "set":
            schedule.set(key, time)
            times.pop(key, None)
            times[key] = time
        elif step == "discard":
            schedule.discard(key)
            times.pop(key, None)
        else:
            due = sorted((key for key, due_at in times.items() if due_at <= time), key=lambda key: times[key])
            assert schedule.take(time) == due
            for taken in due:
                del times[taken]
        assert schedule.next() <= min(times.values(), default=NEVER)
        assert all(schedule.time(key) == times.get(key, NEVER) for key in range(6))


@pytest.mark.parametrize("before", [0.0, 1.0, 2.0])
def test_what_is_due_at_once_comes_in_the_order_it_was_set(before: float) -> None:
    schedule: Schedule[str] = Schedule()
    for key in "abc":
        schedule.set(key, before)
    for key in "cab":
        schedule.set(key, 1.0)
    assert schedule.take(1.0) == ["c", "a", "b"]


def test_keys_that_come_and_go_leave_nothing_behind() -> None:
    schedule: Schedule[int] = Schedule()
    for key in range(10_000):
        schedule.set(key, 1e9)
        schedule.discard(key)
    assert schedule.entries < 200


def test_many_keys_that_are_discarded_leave_little_behind() -> None:
    schedule: Schedule[int] = Schedule()
    for key in range(10_000):
        schedule.set(key, 1e9)
    for key in reversed(range(1, 10_000)):
        schedule.discard(key)
    assert schedule.entries < 200
    assert (schedule.next(), schedule.take(1e9)) == (1e9, [0])
