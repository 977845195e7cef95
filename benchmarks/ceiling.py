"""The ceiling of the load generator itself: `python -m benchmarks.ceiling --help`."""

import click

from benchmarks.command import FULL_REQUESTS, Counts, errors_in_one_line
from benchmarks.connection import prepare
from benchmarks.load import Caller, generate
from benchmarks.processes import indexing_server
from benchmarks.stats import Measurement, measured
from benchmarks.suite import DIRECT, LIVEZ
from peerbus.cli import options


def ceiling(url: str, connections: int, requests: int) -> Measurement:
    """Measure the generator with `/livez` of a server; the connections share out the requests."""
    each = [prepare(LIVEZ, method="GET", expected=b"Alive")] * max(1, requests // connections)
    return measured(generate([Caller(url, each)] * connections), LIVEZ, DIRECT, connections)


@options.command("PEERBUS_CEILING", "--requests")
@click.option("--connections", type=Counts(), default="1,16,100", help="Numbers of connections.")
@click.option("--requests", type=click.IntRange(1, 1_000_000), default=FULL_REQUESTS, help="Requests of a measurement.")
def main(connections: list[int], requests: int) -> None:
    """Show the rate that the load generator reaches with a call that costs the server next to nothing."""
    with errors_in_one_line(), indexing_server() as server:
        for count in connections:
            row = ceiling(server.url, count, requests)
            click.echo(
                f"{count:3} connections: {row.requests_per_s:7,.0f} requests/s, {row.errors} errors; the generator "
                f"used {row.generator_cpu:.0%} of a core, so that all of one is enough for "
                f"{row.requests_per_s / row.generator_cpu:,.0f} requests/s"
            )


if __name__ == "__main__":
    options.run(main)
