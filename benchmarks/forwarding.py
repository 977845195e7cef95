"""What a peer's node adds to a call: `python -m benchmarks.forwarding --help`."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from benchmarks import choices, machine, table
from benchmarks.ours import publishing, publishing_through_a_peer
from benchmarks.rounds import by_turns
from benchmarks.suite import told_in_one_line
from benchmarks.system import Outcome
from peerbus.cli import options

CONNECTIONS = (1, 16)


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Publishing directly and through a peer's node, by turns: one start of the processes of both.

    Figures are medians of its rounds; `ratio` is that of the latencies (p50) in a round, the node's to the direct one.
    `stolen` is what the hypervisor took away, a share of all processors' time.
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
    """Measure both, on servers and a node of their own."""
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
@choices.ROUNDS
@choices.SECONDS
@choices.RESULTS
def main(starts: int, rounds: int, seconds: int, results: Path) -> None:
    """Measure with wrk what publishing takes directly and through a peer's node, by turns.

    With 1 and with 16 connections, after several starts, since how the system places the threads differs. Writes
    forwarding.csv.
    """
    notes = machine.describe(programs=machine.packages("wrk"), starts=starts, rounds=rounds, seconds=seconds)
    rows = []
    with told_in_one_line():
        for connections in CONNECTIONS:
            for start in range(1, starts + 1):
                rows.append(compare(connections, start, rounds, seconds))
                click.echo(rows[-1])
            of_these = [row.ratio for row in rows if row.connections == connections]
            click.echo(
                f"{connections:2} connections: {median(of_these):.2f} times, {min(of_these):.2f} to {max(of_these):.2f}"
            )
    table.write(results / "forwarding.csv", notes, rows)


if __name__ == "__main__":
    options.run(main)
