"""Measure the response time of query_peers: `python response_time_test.py --help`."""

from pathlib import Path

from benchmarks import command, plots
from benchmarks.stats import Measurement, write_table
from benchmarks.suite import measure_queries
from peerbus.cli import options

COUNTS = list(range(1, 101))
QUICK_COUNTS = list(range(1, 11))


@options.command("PEERBUS_RESPONSE_TIME", "--requests")
@command.PEERS
@command.REQUESTS
@command.RESULTS
@command.QUICK
@command.PLOT_ONLY
def main(peers: list[int] | None, requests: int | None, results: Path, quick: bool, plot_only: bool) -> None:
    """Measure the average response time of query_peers while 1 to 100 real peers ask at once.

    \b
    With every number of peers from 1 to 100; with --quick from 1 to 10.
    Writes response_time.csv and draws response_time.png from it.
    """  # noqa: D301  # click's mark for lines that stay as they are
    path = results / "response_time.csv"
    if not plot_only:
        requests = requests or (command.QUICK_REQUESTS if quick else command.FULL_REQUESTS)
        counts = peers or (QUICK_COUNTS if quick else COUNTS)
        notes = command.describe(requests=requests, peers=f"{counts[0]} to {counts[-1]}")
        with command.errors_in_one_line():
            write_table(path, notes, measure_queries(counts, requests))
    found = command.read(path, Measurement)
    command.report(path, found, [plots.draw_response_times(found, path.with_suffix(".png"))])


if __name__ == "__main__":
    options.run(main)
