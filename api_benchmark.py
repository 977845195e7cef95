"""Measure every call: `python api_benchmark.py --help`."""

from pathlib import Path

import click

from benchmarks import api_plots, choices, machine, table
from benchmarks.measurement import Measurement
from benchmarks.suite import measure_calls
from peerbus import options

COUNTS = [1, 2, 5, 10, 25, 50, 100]
QUICK_COUNTS = [1, 5, 10]


@options.command("PEERBUS_BENCHMARK", "--requests")
@choices.PEERS
@choices.REQUESTS
@click.option("--batch", type=click.IntRange(2, 10_000), default=1000, help="Messages of a request with a batch.")
@click.option("--size", type=click.IntRange(0, 1 << 20), default=100, help="Bytes of a message.")
@choices.RESULTS
@choices.QUICK
@choices.PLOT_ONLY
def main(
    peers: list[int] | None, requests: int | None, batch: int, size: int, results: Path, quick: bool, plot_only: bool
) -> None:
    """Measure latency and throughput of each call, through 1 to 100 real peer nodes and directly.

    \b
    With 1, 2, 5, 10, 25, 50 and 100 peers; with --quick, about a minute, 1, 5 and 10.
    Writes api_benchmark.csv and draws its plots from it.
    """  # noqa: D301  # click's mark for lines that stay as they are
    path = results / "api_benchmark.csv"
    if not plot_only:
        requests = requests or (choices.QUICK_REQUESTS if quick else choices.FULL_REQUESTS)
        counts = peers or (QUICK_COUNTS if quick else COUNTS)
        notes = machine.describe(requests=requests, batch=batch, size=size, peers=counts)
        table.write(path, notes, measure_calls(counts, requests, batch, size))
    found = choices.read(path, Measurement)
    choices.report(path, found, api_plots.draw_all(found, results))


if __name__ == "__main__":
    options.run(main)
