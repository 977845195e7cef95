"""Whether cost stays flat: `python -m benchmarks.flatness --help`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks import choices, conditions, machine, table
from benchmarks.conditions import Condition
from benchmarks.memory import queue_memory
from benchmarks.rate import Rate, rates
from benchmarks.rounds import by_turns
from benchmarks.suite import told_in_one_line
from benchmarks.waking import wake
from peerbus.cli import options
from peerbus.http.listener import allow_sockets

QUEUED = 1_000_000
WOKEN = 1000
QUICK_PART = 20
"""With `--quick`, there is so many times less of everything."""


class Pair(NamedTuple):
    """Publishing is compared between little and much of something."""

    condition: Condition
    little: int
    much: int


PAIRS = (
    Pair(conditions.subscribers, 1, 10_000),
    Pair(conditions.queued, 0, QUEUED),
    Pair(conditions.topics, 1, 100_000),
    Pair(conditions.waiting, 0, 2000),
)


def compare(pair: Pair, rounds: int, connections: int, seconds: int) -> list[Rate]:
    """The rates of publishing under both conditions of a pair, measured by turns."""
    with pair.condition(pair.little) as plain, pair.condition(pair.much) as loaded:
        return rates(by_turns([plain, replace(loaded, against=plain.name)], rounds, connections, seconds))


@options.command("PEERBUS_FLATNESS", "--rounds")
@choices.ROUNDS
@choices.SECONDS
@choices.CONNECTIONS
@choices.RESULTS
@click.option("--quick", is_flag=True, help=f"One in {QUICK_PART} of subscribers, messages, topics and pulls.")
def main(rounds: int, seconds: int, connections: int, results: Path, quick: bool) -> None:
    """Measure publishing with little and with much of what a server holds, and what holding it costs.

    \b
    Subscribers, queued messages, topics, waiting pulls: flatness.csv.
    The memory that queued messages take: memory.csv.
    How soon pulls that wait on one topic are answered: waking.csv.
    """  # noqa: D301  # click's mark for lines that stay as they are
    part = QUICK_PART if quick else 1
    notes = machine.describe(
        programs=machine.packages("wrk"),
        open_files=allow_sockets(),
        rounds=rounds,
        seconds=seconds,
        connections=connections,
    )
    with told_in_one_line():
        pairs = [pair._replace(much=pair.much // part) for pair in PAIRS]
        measured: dict[str, Sequence[object]] = {
            "flatness": [row for pair in pairs for row in compare(pair, rounds, connections, seconds)],
            "memory": [queue_memory(QUEUED // part)],
            "waking": wake(WOKEN // part, rounds),
        }
    for name, rows in measured.items():
        table.write(results / f"{name}.csv", notes, rows)
        for row in rows:
            click.echo(row)


if __name__ == "__main__":
    options.run(main)
