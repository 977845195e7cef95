"""Servers that hold little or much, and pulls that wait."""

import pytest

from benchmarks import flatness
from benchmarks.flatness import AWAITED, Condition, queue_memory, waiting_pulls, wake
from benchmarks.load import SetupFailed
from tests.benchmarks.support import asked_once
from tests.support.harness import Api


@pytest.mark.parametrize("condition", [flatness.subscribers, flatness.queued, flatness.topics, flatness.waiting])
@pytest.mark.parametrize("count", [1, 5])
def test_under_each_condition_messages_are_published(condition: Condition, count: int) -> None:
    with condition(count) as system:
        for _ in range(2):
            with system.during():
                assert asked_once(system) == min(3, len(system.requests))
    assert f"{count}" in system.name


def test_one_message_wakes_all_pulls_that_wait(index: Api) -> None:
    with waiting_pulls(index.url, 5) as pulls:
        for _ in range(2):
            pulls.begin()
            latencies = pulls.wake()
            assert len(latencies) == 5
            assert all(latency > 0 for latency in latencies)


def test_a_pull_that_did_not_wait_is_an_error(index: Api) -> None:
    with waiting_pulls(index.url, 5) as pulls:
        pulls.begin()
        index.delete("/delete_topic", topic=AWAITED)
        with pytest.raises(SetupFailed, match="answered"):
            pulls.wake()


def test_waking_is_measured_in_rounds() -> None:
    rows = wake(3, 2)
    assert [(row.pulls, row.round) for row in rows] == [(3, 1), (3, 2)]
    assert all(0 < row.p50_ms <= row.p99_ms <= row.max_ms for row in rows)
    assert "round 2" in str(rows[1])


def test_queued_messages_take_memory() -> None:
    row = queue_memory(50_000)
    assert row.bytes_per_message > row.message_bytes
    assert "50,000 messages" in str(row)
