"""Two checkouts' servers by turns: this one beside itself."""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchmarks import versus
from benchmarks.load import ConnectionBroken
from benchmarks.processes import ROOT
from benchmarks.stats import read_table
from benchmarks.versus import SCENARIOS, Checkout, Comparison, Scenario, compare, compare_all, compared, waking
from benchmarks.wrk import Outcome
from tests.benchmarks.support import NOTES, an_outcome

HERE = Checkout(ROOT, Path(sys.executable))
WAKING = Scenario("waking-5", 5, waking(5), busy=True, on_disk=True)


def test_pulls_that_wait_are_woken_on_both_servers() -> None:
    row = compare(WAKING, HERE, HERE, rounds=2, seconds=1, busy=1)
    assert (row.connections, row.rounds) == (5, 2)
    assert 0 < row.worst_ratio <= row.ratio
    assert 0 < row.old_p50_ms <= row.old_p99_ms
    assert row.old_cpu_us > 0


def test_a_ratio_is_of_the_same_round() -> None:
    old = [an_outcome(rate)._replace(cpu_us=30.0) for rate in (10, 100, 50)]
    new = [an_outcome(rate, errors=1)._replace(cpu_us=20.0) for rate in (20, 110, 25)]
    row = compared(WAKING, old, new)
    assert (row.old_per_s, row.new_per_s) == (50, 25)
    assert (row.ratio, row.worst_ratio) == (1.1, 0.5)
    assert (row.old_cpu_us, row.new_cpu_us, row.old_errors, row.new_errors) == (30, 20, 0, 3)
    assert "1.10 times, worst 0.50" in str(row)


def test_a_server_without_an_answer_has_no_ratio() -> None:
    assert math.isnan(compared(WAKING, [Outcome(0, 0, 0, 5)], [an_outcome(20)]).ratio)


def test_a_scenario_that_fails_leaves_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def measured(scenario: Scenario) -> Comparison:
        if scenario.name != WAKING.name:
            raise ConnectionBroken("The other server is gone.")
        return compared(scenario, [an_outcome(10)], [an_outcome(20)])

    path = tmp_path / "versus.csv"
    with pytest.raises(click.ClickException, match=r"Not measured: publish-1\."):
        compare_all(path, [SCENARIOS[0], WAKING], measured, NOTES)
    assert [row.scenario for row in read_table(path, Comparison).rows] == ["waking-5"]
    assert "The other server is gone." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (lambda folder: [str(folder)], "--other-python"),
        (lambda folder: [str(folder / "missing")], "does not exist"),
        (lambda folder: [str(folder), "--only", "publish-3"], "publish-1"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, arguments: Callable[[Path], list[str]], said: str) -> None:
    result = CliRunner().invoke(versus.main, arguments(tmp_path))
    assert (result.exit_code, said in result.output) == (2, True), result.output
