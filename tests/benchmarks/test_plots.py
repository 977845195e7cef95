"""The plots are drawn from a CSV."""

from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import brokers, plots
from benchmarks.stats import Measurement, ResponseTime, Table, measured, read_table, write_table
from tests.benchmarks.support import NOTES, a_load, a_measurement, a_rate, measurements

PNG = b"\x89PNG\r\n\x1a\n"


def written(folder: Path, rows: list[Measurement]) -> Table[Measurement]:
    path = folder / "table.csv"
    write_table(path, NOTES, rows)
    return read_table(path, Measurement)


@pytest.mark.parametrize("counts", [(1,), (1, 2, 5)])
def test_every_plot_of_the_calls_is_drawn(tmp_path: Path, counts: tuple[int, ...]) -> None:
    drawn = plots.draw_calls(written(tmp_path, measurements(*counts)), tmp_path)
    assert {plot.stem for plot in drawn} == {
        "api_latency",
        "api_throughput",
        "api_distribution",
        "api_direct",
        "api_batches",
    }
    assert all(plot.read_bytes().startswith(PNG) for plot in drawn)


def test_the_response_time_is_drawn(tmp_path: Path) -> None:
    rows = [
        ResponseTime(**asdict(a_measurement("query_peers", "peer", peers)), topics=topics)
        for peers in range(1, 30)
        for topics in (1, 1000, 2000)
    ]
    write_table(tmp_path / "table.csv", NOTES, rows)
    found = read_table(tmp_path / "table.csv", ResponseTime)
    assert found.rows[0].topics == 1
    assert plots.draw_response_times(found, tmp_path / "plot.png").read_bytes().startswith(PNG)


def test_the_comparison_of_brokers_is_drawn_again(tmp_path: Path) -> None:
    write_table(
        tmp_path / "brokers.csv", NOTES, [a_rate("naive"), a_rate("peerbus", "naive"), a_rate("other", "naive")]
    )
    result = CliRunner().invoke(brokers.main, ["--plot-only", "--results", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "2.00 x naive" in result.output
    assert (tmp_path / "brokers.png").read_bytes().startswith(PNG)


def test_a_call_without_a_good_answer_leaves_its_place_empty(tmp_path: Path) -> None:
    rows = [row for row in measurements(1, 2) if row.call != "publish"]
    rows.append(measured(a_load("publish", errors=1), "publish", "peer", 1, 1))
    drawn = plots.draw_calls(written(tmp_path, rows), tmp_path)
    assert all(plot.read_bytes().startswith(PNG) for plot in drawn)
