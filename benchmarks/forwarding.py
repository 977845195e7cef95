"""The latency that a peer's node adds to a call: `python -m benchmarks.forwarding --help`."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from benchmarks import command
from benchmarks.brokers import publishing, publishing_through_a_peer
from benchmarks.stats import write_table
from benchmarks.wrk import Outcome, by_turns
from peerbus.cli import options

CONNECTIONS = (1, 16)


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Publishing directly and through a peer's node by turns, after one start of the processes.

    Figures are medians of the rounds. `ratio` is that of a round's latencies (p50), through the node to directly;
    `stolen` is the steal time as a share of all processors' time.
    """

    connections: int
    start: int
    direct_p50_ms: float
    node_p50_ms: float
    ratio: float
    direct_per_s: float
    node_per_s: float
    errors: int
    stolen: float

    def __str__(self) -> str:
        """One line for a person."""
        latency = (
            f"p50 {self.direct_p50_ms:.3f} ms directly, {self.node_p50_ms:.3f} through a node: {self.ratio:.2f} times"
        )
        rate = (
            f"{self.direct_per_s:,.0f}/s and {self.node_per_s:,.0f}/s; {self.errors} errors, {self.stolen:.0%} stolen"
        )
        return f"{self.connections:2} connections, start {self.start}: {latency}; {rate}"


def compare(connections: int, start: int, rounds: int, seconds: int) -> Forwarding:
    """Measure both ways, each with a server of its own."""
    with ExitStack() as stack:
        systems = [stack.enter_context(each()) for each in (publishing, publishing_through_a_peer)]
        for system in systems:
            system.measure(connections, 1)
        direct, node = by_turns(systems, rounds, connections, seconds).values()
    return Forwarding(
        connections,
        start,
        median(each.p50_ms for each in direct),
        median(each.p50_ms for each in node),
        median(through.p50_ms / directly.p50_ms for directly, through in zip(direct, node, strict=True)),
        _rate(direct),
        _rate(node),
        sum(each.errors for each in [*direct, *node]),
        median(each.stolen for each in [*direct, *node]),
    )


def _rate(outcomes: Sequence[Outcome]) -> float:
    return median(each.messages_per_s for each in outcomes)


@options.command("PEERBUS_FORWARDING", "--rounds")
@click.option("--starts", type=click.IntRange(1, 100), default=10, help="Starts of all processes.")
@command.ROUNDS
@command.SECONDS
@command.RESULTS
def main(starts: int, rounds: int, seconds: int, results: Path) -> None:
    """Measure publishing directly and through a peer's node with wrk, by turns.

    With 1 and with 16 connections, after several starts, since the system places the threads differently each time.
    Writes forwarding.csv.
    """
    notes = command.describe(programs=command.packages("wrk"), starts=starts, rounds=rounds, seconds=seconds)
    rows = []
    with command.errors_in_one_line():
        for connections in CONNECTIONS:
            for start in range(1, starts + 1):
                rows.append(compare(connections, start, rounds, seconds))
                click.echo(rows[-1])
            of_these = [row.ratio for row in rows if row.connections == connections]
            click.echo(
                f"{connections:2} connections: {median(of_these):.2f} times, {min(of_these):.2f} to {max(of_these):.2f}"
            )
    write_table(results / "forwarding.csv", notes, rows)


if __name__ == "__main__":
    options.run(main)
