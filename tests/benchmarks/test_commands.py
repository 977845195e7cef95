"""The benchmarks as a user runs them: real processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.stats import Measurement, ResponseTime, read_table
from benchmarks.suite import CALLS, DIRECT, LIVEZ, PEER
from tests.support.harness import Process

Run = Callable[..., Process]


def test_every_call_is_measured_without_errors(run: Run, tmp_path: Path) -> None:
    options = ("--peers", "1,2", "--requests", "20", "--batch", "10", "--no-brokers", "--results", str(tmp_path))
    code, out, progress = run("api_benchmark.py", *options).finish()
    assert (code, "0 errors" in out) == (0, True), out + progress
    assert "publish through 2 peers" in progress
    notes, rows = read_table(tmp_path / "api_benchmark.csv", Measurement)
    assert notes["peers"] == "[1, 2]"
    assert {(row.call, row.via, row.peers) for row in rows} == {
        *((call, via, peers) for call in CALLS for via in (DIRECT, PEER) for peers in (1, 2)),
        *((LIVEZ, DIRECT, peers) for peers in (1, 2)),
    }
    assert {row.messages_per_request for row in rows if row.call == "publish"} == {1, 10}
    assert sum(row.errors for row in rows) == 0
    assert all(row.requests > 0 and row.requests_per_s > 0 for row in rows)
    assert len(list(tmp_path.glob("api_*.png"))) == 5


def test_the_response_time_is_measured_and_drawn_again(run: Run, tmp_path: Path) -> None:
    options = ("--results", str(tmp_path))
    sizes = ("--peers", "1-2", "--topics", "2500", "--requests", "20")
    code, out, errors = run("response_time_test.py", *sizes, *options).finish()
    assert code == 0, out + errors
    assert "query_peers of 2,500 topics, asked by 2 peers at once" in errors
    notes, rows = read_table(tmp_path / "response_time.csv", ResponseTime)
    assert (notes["topics"], notes["peers"]) == ("2500", "[1, 2]")
    assert {(row.call, row.requests, row.errors) for row in rows} == {("query_peers", 20, 0)}
    assert [(row.topics, row.peers) for row in rows] == [(t, p) for t in (1, 1000, 2500) for p in (1, 2)]
    plot = tmp_path / "response_time.png"
    plot.unlink()
    assert run("response_time_test.py", "--plot-only", *options).finish()[0] == 0
    assert plot.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--peers", "0,1"], "from 1 to"),
        (["--peers", "one"], "not a list of numbers"),
        (["--requests", "0"], "--requests"),
        (["--plot-only"], "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
    code, _, errors = run("api_benchmark.py", *arguments, "--results", str(tmp_path)).finish()
    assert (code, errors.count("\n"), said in errors) == (2, 1, True), errors
