"""Brokers side by side: `python -m benchmarks.brokers --help`."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import click

from benchmarks import broker_plot, choices, machine, others, ours, table
from benchmarks.rate import Rate, rates
from benchmarks.rounds import by_turns
from benchmarks.suite import told_in_one_line
from benchmarks.system import System
from peerbus.cli import options

Start = Callable[[], AbstractContextManager[System]]
ALWAYS: tuple[Start, ...] = (
    *(others.naive, others.naive_through_a_peer),
    *(ours.publishing, ours.publishing_through_a_peer, ours.publishing_batches),
    *(ours.pulling, ours.pulling_batches),
)


def contenders() -> list[Start]:
    """What starts each system that can be started here; says which cannot."""
    found = list(ALWAYS)
    for name, installed, start in (
        ("Redis and Webdis", others.has_webdis(), others.webdis),
        ("nginx with nchan", others.has_nchan(), others.nchan),
    ):
        if installed:
            found.append(start)
        else:
            click.echo(f"{name}: not installed, and left out.")
    return found


def compare(starts: Sequence[Start], rounds: int, connections: int, seconds: int) -> list[Rate]:
    """Measure systems by turns."""
    with ExitStack() as stack:
        systems = [stack.enter_context(start()) for start in starts]
        return rates(by_turns(systems, rounds, connections, seconds))


def measure(path: Path, rounds: int, seconds: int, connections: int) -> None:
    """Write the table of all systems that can be started here, measured by turns."""
    notes = machine.describe(
        programs=machine.packages("wrk", "nginx", "libnginx-mod-nchan", "redis-server", "webdis"),
        rounds=rounds,
        seconds=seconds,
        connections=connections,
    )
    with told_in_one_line():
        table.write(path, notes, compare(contenders(), rounds, connections, seconds))


def show(path: Path) -> None:
    """Say what a table of systems says, and draw it."""
    found = choices.read(path, Rate)
    for row in found.rows:
        click.echo(f"{row}")
    choices.report(path, found, [broker_plot.draw(found, path.with_suffix(".png"))])


@options.command("PEERBUS_BROKERS", "--rounds")
@choices.ROUNDS
@choices.SECONDS
@choices.CONNECTIONS
@choices.RESULTS
@choices.PLOT_ONLY
def main(rounds: int, seconds: int, connections: int, results: Path, plot_only: bool) -> None:
    """Measure with wrk what peerbus, the naive design and other installed brokers take, by turns.

    Writes brokers.csv and draws brokers.png from it.
    """
    path = results / "brokers.csv"
    if not plot_only:
        measure(path, rounds, seconds, connections)
    show(path)


if __name__ == "__main__":
    options.run(main)
