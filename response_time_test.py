"""Measure the response time of query_peers: `python response_time_test.py --help`."""

from pathlib import Path

import click

from benchmarks import command, plots
from benchmarks.stats import ResponseTime, write_table
from benchmarks.suite import measure_queries
from peerbus.cli import options

COUNTS = [1, 2, 4, 8, 16, 32, 64, 100]
QUICK_COUNTS = [1, 2, 4, 8]


@options.command("PEERBUS_RESPONSE_TIME", "--requests")
@command.PEERS
@click.option(
    "--topics",
    type=click.IntRange(1, command.MOST_TOPICS),
    default=100_000,
    help="Topics at the end. The server is filled with them, in steps.",
)
@command.REQUESTS
@command.RESULTS
@command.QUICK
@command.PLOT_ONLY
def main(
    peers: list[int] | None, topics: int, requests: int | None, results: Path, quick: bool, plot_only: bool
) -> None:
    """Measure the average response time of query_peers while more and more real peers ask, of more and more topics.

    \b
    With 1, 2, 4, 8, 16, 32, 64 and 100 peers that ask at once; with --quick up to 8.
    With 1, 1,000, 10,000 and 100,000 topics; --topics 1000000 goes on to a million.
    Writes response_time.csv and draws response_time.png from it.
    """  # noqa: D301  # click's mark for lines that stay as they are
    path = results / "response_time.csv"
    if not plot_only:
        requests = requests or (command.QUICK_REQUESTS if quick else command.FULL_REQUESTS)
        counts = peers or (QUICK_COUNTS if quick else COUNTS)
        notes = command.describe(requests=requests, peers=counts, topics=topics)
        with command.errors_in_one_line():
            write_table(path, notes, measure_queries(counts, topics, requests))
    found = command.read(path, ResponseTime)
    command.report(path, found, [plots.draw_response_times(found, path.with_suffix(".png"))])


if __name__ == "__main__":
    options.run(main)
