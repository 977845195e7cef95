"""Pulls that wait, and the peers of a whole machine."""

import os

import pytest

from benchmarks import many_peers
from benchmarks.memory import mib, queue_memory, resident_mib
from benchmarks.setup import SetupFailed
from benchmarks.waiting import TOPIC, waiting_pulls
from benchmarks.waking import wake
from tests.support.harness import Api


def test_one_message_wakes_all_pulls_that_wait(index: Api) -> None:
    with waiting_pulls(index.url, 5) as pulls:
        for _ in range(2):
            pulls.begin()
            latencies = pulls.wake()
            assert len(latencies) == 5
            assert all(latency > 0 for latency in latencies)


def test_a_pull_that_did_not_wait_is_told(index: Api) -> None:
    with waiting_pulls(index.url, 5) as pulls:
        pulls.begin()
        index.delete("/delete_topic", topic=TOPIC)
        with pytest.raises(SetupFailed, match="answered"):
            pulls.wake()


def test_waking_is_measured_in_rounds() -> None:
    rows = wake(3, 2)
    assert [(row.pulls, row.round) for row in rows] == [(3, 1), (3, 2)]
    assert all(0 < row.p50_ms <= row.p99_ms <= row.max_ms for row in rows)
    assert "round 2" in str(rows[1])


def test_memory_is_read_as_linux_tells_it() -> None:
    text = "Rss:  2048 kB\nPss:     512 kB\nPss_Dirty: 7 kB\n"
    assert mib(text, "Pss") == 0.5
    assert resident_mib(os.getpid()) > 1
    with pytest.raises(ValueError, match="Swap"):
        mib(text, "Swap")


def test_queued_messages_take_memory() -> None:
    row = queue_memory(50_000)
    assert row.bytes_per_message > row.message_bytes
    assert "50,000 messages" in str(row)


def test_every_peer_publishes_pulls_and_is_gone() -> None:
    row = many_peers.measure(3)
    assert (row.peers, row.published, row.pulled) == (3, 3, 3)
    assert (row.exit_code, row.processes_left, row.peers_left, row.complaints) == (0, 0, 0, 0)
    assert 1 < row.median_mib <= row.most_mib < row.all_mib
    assert "3 peer nodes" in str(row)
