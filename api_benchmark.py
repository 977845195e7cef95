"""Measure every call: `python api_benchmark.py --help`."""

from pathlib import Path

import click

from benchmarks import brokers, command, plots, wrk
from benchmarks.stats import Measurement, write_table
from benchmarks.suite import measure_calls
from peerbus.cli import options

COUNTS = [1, 2, 5, 10, 25, 50, 100]
QUICK_COUNTS = [1, 5, 10]
COMPARISON = {"rounds": 5, "seconds": 2, "connections": 16}
QUICK_COMPARISON = {"rounds": 1, "seconds": 1, "connections": 16}


@options.command("PEERBUS_BENCHMARK", "--requests")
@command.PEERS
@command.REQUESTS
@click.option("--batch", type=click.IntRange(2, 10_000), default=1000, help="Messages of a request with a batch.")
@click.option("--size", type=click.IntRange(0, 1 << 20), default=100, help="Bytes of a message.")
@command.RESULTS
@command.QUICK
@command.PLOT_ONLY
@click.option("--brokers/--no-brokers", "with_brokers", default=True, help="Compare with other brokers, where wrk is.")
def main(
    peers: list[int] | None,
    requests: int | None,
    batch: int,
    size: int,
    results: Path,
    quick: bool,
    plot_only: bool,
    with_brokers: bool,
) -> None:
    """Measure latency and throughput of each call, through 1 to 100 real peer nodes and directly.

    \b
    With 1, 2, 5, 10, 25, 50 and 100 peers; with --quick, about a minute, 1, 5 and 10.
    Then peerbus beside the naive design and other installed brokers, with wrk.
    Writes api_benchmark.csv and brokers.csv and draws their plots from them.
    """  # noqa: D301  # click's mark for lines that stay as they are
    path = results / "api_benchmark.csv"
    if not plot_only:
        requests = requests or (command.QUICK_REQUESTS if quick else command.FULL_REQUESTS)
        counts = peers or (QUICK_COUNTS if quick else COUNTS)
        notes = command.describe(requests=requests, batch=batch, size=size, peers=counts)
        with command.errors_in_one_line():
            write_table(path, notes, measure_calls(counts, requests, batch, size))
    found = command.read(path, Measurement)
    command.report(path, found, plots.draw_calls(found, results))
    if not with_brokers:
        return
    if not plot_only and not wrk.is_installed():
        click.echo("wrk: not installed, and the comparison with other brokers left out.")
        return
    path = results / "brokers.csv"
    if not plot_only:
        brokers.measure(path, **(QUICK_COMPARISON if quick else COMPARISON))
    if path.exists():
        brokers.show(path)


if __name__ == "__main__":
    options.run(main)
