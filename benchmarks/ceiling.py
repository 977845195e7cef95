"""What the load generator itself can do: `python -m benchmarks.ceiling`.

It calls `/livez`, for which the server does next to nothing, directly.
"""

import click

from benchmarks.calls import DIRECT, LIVEZ
from benchmarks.choices import FULL_REQUESTS, Counts
from benchmarks.load import Caller, generate
from benchmarks.measurement import Measurement, measured
from benchmarks.request import prepare
from benchmarks.suite import started
from peerbus.cli import options


def ceiling(url: str, connections: int, requests: int) -> Measurement:
    """Measure the generator against `/livez` of a server; `requests` are shared out among the connections."""
    each = [prepare(LIVEZ, method="GET", expected=b"Alive")] * max(1, requests // connections)
    return measured(generate([Caller(url, each)] * connections), LIVEZ, DIRECT, connections)


@options.command("PEERBUS_CEILING", "--requests")
@click.option("--connections", type=Counts(), default="1,16,100", help="Numbers of connections.")
@click.option("--requests", type=click.IntRange(1, 1_000_000), default=FULL_REQUESTS, help="Requests of a measurement.")
def main(connections: list[int], requests: int) -> None:
    """Show what the load generator reaches against a call that costs the server next to nothing."""
    with started(1) as running:
        for count in connections:
            row = ceiling(running.server, count, requests)
            click.echo(
                f"{count:3} connections: {row.requests_per_s:7,.0f} requests/s, {row.errors} errors; the generator "
                f"used {row.generator_cpu:.0%} of a core, so that all of one is enough for "
                f"{row.requests_per_s / row.generator_cpu:,.0f} requests/s"
            )


if __name__ == "__main__":
    options.run(main)
