"""From latencies to figures, and the CSV that they are kept in."""

import math
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.stats import (
    Measurement,
    Rate,
    TableError,
    measured,
    percentile,
    rates,
    read_table,
    summarise,
    write_table,
)
from tests.benchmarks.support import NOTES, a_load, a_rate, a_system, an_outcome, measurements


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


def test_a_rate_is_the_median_of_the_rounds_and_a_ratio_that_of_their_ratios() -> None:
    slow, fast, alone = (
        a_system("slow"),
        a_system("fast", against="slow"),
        a_system("alone", against="slow", call="pull"),
    )
    outcomes = {
        slow: [an_outcome(10), an_outcome(1, errors=2), an_outcome(4, errors=1)],
        fast: [an_outcome(20), an_outcome(9), an_outcome(12)],
        alone: [an_outcome(5)],
    }
    first, second, third = rates(outcomes)
    assert (first.messages_per_s, first.least, first.most, first.errors, first.rounds) == (4, 1, 10, 3, 3)
    assert (second.messages_per_s, second.ratio, second.against) == (12, 3, "slow")
    assert math.isnan(first.ratio)
    assert math.isnan(third.ratio), "another call is not compared with"
    assert "3.00 x slow" in str(second)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.csv"
    rows = measurements(1, 5)
    write_table(path, NOTES, rows)
    found = read_table(path, Measurement)
    assert found.notes == NOTES
    for read, written in zip(found.rows, rows, strict=True):
        assert asdict(read) == pytest.approx(asdict(written), abs=0.0001)


def test_figures_that_do_not_exist_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    row = measured(a_load("publish", errors=1), "publish", "peer", 1, 1)
    write_table(path, {}, [row])
    assert asdict(read_table(path, Measurement).rows[0]) == pytest.approx(asdict(row), nan_ok=True)


def test_any_kind_of_row_is_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = [a_rate("naive"), a_rate("peerbus, 1,000 a request", "naive")]
    write_table(path, NOTES, rows)
    assert [asdict(row) for row in read_table(path, Rate).rows] == [
        pytest.approx(asdict(row), nan_ok=True) for row in rows
    ]
    with pytest.raises(TableError, match="not a table"):
        read_table(path, Measurement)


@pytest.mark.parametrize("text", ["call,via\npublish,peer\n", "call\n" * 3, "\0\n1,2\n"])
def test_another_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(TableError, match=r"table\.csv"):
        read_table(path, Measurement)


def test_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        read_table(tmp_path / "table.csv", Measurement)
