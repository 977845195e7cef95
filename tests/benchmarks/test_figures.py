"""From latencies to figures."""

import math
from dataclasses import asdict

import pytest

from benchmarks.load import Load
from benchmarks.measurement import measured
from benchmarks.summary import percentile, summarise
from tests.benchmarks.support import a_load


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 15), (5, 15), (30, 20), (40, 20), (50, 35), (95, 50), (99, 50), (100, 50)]
)
def test_a_percentile_is_that_of_the_nearest_rank(percent: float, value: float) -> None:
    assert percentile([15, 20, 35, 40, 50], percent) == value


def test_a_summary_is_in_milliseconds_whatever_the_order() -> None:
    latencies = [n / 1000 for n in range(100, 0, -1)]
    expected = {"mean_ms": 50.5, "min_ms": 1, "p25_ms": 25, "p50_ms": 50, "p75_ms": 75, "p95_ms": 95, "p99_ms": 99}
    assert asdict(summarise(latencies)) == pytest.approx(expected | {"max_ms": 100})


def test_nothing_measured_has_no_figures() -> None:
    assert all(math.isnan(value) for value in asdict(summarise([])).values())


def test_errors_are_counted_beside_the_rate_of_good_answers() -> None:
    row = measured(a_load("publish", 0.1, 0.3, errors=2, seconds=0.5), "publish", "direct", 1, 1000)
    assert (row.requests, row.errors) == (4, 2)
    assert (row.requests_per_s, row.messages_per_s) == (4, 4000)
    assert (row.mean_ms, row.generator_cpu) == pytest.approx((200, 0.25))


def test_calls_that_take_turns_share_the_time_as_they_were_waited_for() -> None:
    load = Load(seconds=4.0)
    load.latencies["register_peer_node"] += [0.3, 0.3]
    load.latencies["unregister_peer_node"] += [0.1, 0.1]
    register = measured(load, "register_peer_node", "peer", 1)
    unregister = measured(load, "unregister_peer_node", "peer", 1)
    assert (register.seconds, unregister.seconds) == pytest.approx((3, 1))
    assert (register.requests_per_s, unregister.requests_per_s) == pytest.approx((2 / 3, 2))


def test_a_load_of_errors_alone_has_no_rate() -> None:
    row = measured(a_load("publish", errors=3), "publish", "direct", 1, 1)
    assert (row.requests, row.errors, row.requests_per_s) == (3, 3, 0)
