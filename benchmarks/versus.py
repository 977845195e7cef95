"""The indexing server of this checkout beside that of another: `python -m benchmarks.versus --help`."""

import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import click
from tqdm import tqdm

from benchmarks import command
from benchmarks.brokers import publisher, puller
from benchmarks.flatness import ROOM, WOKEN, waiting_pulls
from benchmarks.load import BATCH, Caller, make, prepare
from benchmarks.processes import ROOT, Server, StealTime, free_port, processor_seconds, program, running
from benchmarks.stats import ratios, summarise, write_table
from benchmarks.suite import LIVEZ
from benchmarks.wrk import Outcome, System
from peerbus.cli import options
from peerbus.http.listener import allow_sockets

WARM_UP = 100
"""Unmeasured requests before the first round."""
ENDLESS = (sys.executable, "-c", "while True: pass")

Measure = Callable[[int], Outcome]
"""Measures one round of so many seconds."""


class Checkout(NamedTuple):
    """A checkout of this project, and the Python that its server runs with."""

    folder: Path
    python: Path


class Scenario(NamedTuple):
    """A use of a server, which is the same for old and new.

    `prepare` makes a server ready for the rounds; `messages` is the number in a request. `busy` has other processes
    compete for the processors; `on_disk` starts the server with a data folder.
    """

    name: str
    connections: int
    prepare: Callable[[Server], AbstractContextManager[Measure]]
    messages: int = 1
    busy: bool = False
    on_disk: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """One scenario with the old and the new server, measured by turns.

    Rates are messages (of `livez` requests, of `waking` answers) a second. Rates, latencies and processor time are
    medians of the rounds. `ratio` and `worst_ratio` are the median and the least of the rounds' ratios of the new
    rate to the old one. `cpu_us` are the microseconds of processor time that the server's process, with all its
    threads, used for a request: user and system. `stolen` is the median of the steal time, a share of all
    processors' time.
    """

    scenario: str
    connections: int
    messages_per_request: int
    rounds: int
    old_per_s: float
    new_per_s: float
    ratio: float
    worst_ratio: float
    old_p50_ms: float
    new_p50_ms: float
    old_p99_ms: float
    new_p99_ms: float
    old_cpu_us: float
    new_cpu_us: float
    old_errors: int
    new_errors: int
    stolen: float

    def __str__(self) -> str:
        """One line for a person: old, then new."""
        return (
            f"{self.scenario:18} {self.old_per_s:10,.0f} {self.new_per_s:10,.0f}/s; "
            f"{self.ratio:.2f} times, worst {self.worst_ratio:.2f}; "
            f"p50 {self.old_p50_ms:.3f} {self.new_p50_ms:.3f} ms, p99 {self.old_p99_ms:.2f} {self.new_p99_ms:.2f} ms; "
            f"CPU {self.old_cpu_us:.1f} {self.new_cpu_us:.1f} us; "
            f"{self.old_errors} {self.new_errors} errors, {self.stolen:.0%} stolen"
        )


def compared(scenario: Scenario, old: Sequence[Outcome], new: Sequence[Outcome]) -> Comparison:
    """The comparison of the outcomes of both servers, by round."""
    both = ratios(new, old) or [math.nan]
    return Comparison(
        scenario=scenario.name,
        connections=scenario.connections,
        messages_per_request=scenario.messages,
        rounds=len(new),
        old_per_s=median(each.messages_per_s for each in old),
        new_per_s=median(each.messages_per_s for each in new),
        ratio=median(both),
        worst_ratio=min(both),
        old_p50_ms=median(each.p50_ms for each in old),
        new_p50_ms=median(each.p50_ms for each in new),
        old_p99_ms=median(each.p99_ms for each in old),
        new_p99_ms=median(each.p99_ms for each in new),
        old_cpu_us=median(each.cpu_us for each in old),
        new_cpu_us=median(each.cpu_us for each in new),
        old_errors=sum(each.errors for each in old),
        new_errors=sum(each.errors for each in new),
        stolen=median(each.stolen for each in [*old, *new]),
    )


def sent_by_wrk(
    start: Callable[[str], System], connections: int
) -> Callable[[Server], AbstractContextManager[Measure]]:
    """Rounds in which wrk sends the requests of a system, which `start` makes of a server's URL."""

    @contextmanager
    def prepared(server: Server) -> Iterator[Measure]:
        system = replace(start(server.url), processor=lambda: processor_seconds(server.process.pid))
        make([Caller(server.url, [system.requests[0]] * WARM_UP)])
        yield lambda seconds: system.measure(connections, seconds)

    return prepared


def waking(count: int) -> Callable[[Server], AbstractContextManager[Measure]]:
    """Rounds in which one publish wakes `count` pulls.

    Latencies are from sending the publish to reading each answer. Processor time is from sending the pulls on.
    """

    @contextmanager
    def prepared(server: Server) -> Iterator[Measure]:
        with waiting_pulls(server.url, count) as pulls:

            def measure(_: int) -> Outcome:
                before, steal = processor_seconds(server.process.pid), StealTime()
                pulls.begin()
                latencies = pulls.wake()
                used = processor_seconds(server.process.pid) - before
                summary = summarise(latencies)
                rate = count / max(latencies)
                return Outcome(rate, summary.p50_ms, summary.p99_ms, 0, count, steal.share(), used * 1e6 / count)

            yield measure

    return prepared


def publish(url: str, batch: int = 1) -> System:
    """Publishing to a topic with one subscriber, which pulls nothing; the topic drops its oldest messages."""
    return publisher("", "", url, url, batch)


def pull(url: str, batch: int = 1) -> System:
    """Pulling waiting messages."""
    return puller("", url, batch)


def livez(url: str) -> System:
    """A request that costs the server next to nothing."""
    return System("", LIVEZ, url, [prepare(LIVEZ, method="GET", expected=b"Alive")])


def many(start: Callable[[str, int], System]) -> Callable[[str], System]:
    """A system with 1,000 messages a request."""
    return lambda url: start(url, BATCH)


SCENARIOS = (
    *(Scenario(f"publish-{count}", count, sent_by_wrk(publish, count)) for count in (1, 16, 64, 1000)),
    Scenario("publish-busy-16", 16, sent_by_wrk(publish, 16), busy=True),
    Scenario("publish-many-16", 16, sent_by_wrk(many(publish), 16), BATCH),
    Scenario("pull-16", 16, sent_by_wrk(pull, 16)),
    Scenario("pull-many-16", 16, sent_by_wrk(many(pull), 16), BATCH),
    *(Scenario(f"publish-disk-{count}", count, sent_by_wrk(publish, count), on_disk=True) for count in (1, 16, 64)),
    Scenario(f"waking-{WOKEN}", WOKEN, waking(WOKEN)),
    Scenario("livez-16", 16, sent_by_wrk(livez, 16)),
)


@contextmanager
def serving(checkout: Checkout, on_disk: bool) -> Iterator[Server]:
    """A checkout's indexing server in its own folder, with logs, and data if on disk, in a temporary folder."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="peerbus-benchmark-") as folder:
        data = ("--data-dir", f"{folder}/data") if on_disk else ()
        started = (str(checkout.python), "indexing_server.py", "--port", str(port), "--log-dir", folder, *ROOM, *data)
        with program(started, port, checkout.folder) as server:
            yield server


def compare(scenario: Scenario, old: Checkout, new: Checkout, rounds: int, seconds: int, busy: int) -> Comparison:
    """Measure a scenario with a fresh server of both checkouts, in each round the other one first."""
    with ExitStack() as stack:
        measures = []
        for checkout in (old, new):
            server = stack.enter_context(serving(checkout, scenario.on_disk))
            measures.append(stack.enter_context(scenario.prepare(server)))
        for _ in range(busy if scenario.busy else 0):
            stack.enter_context(running(ENDLESS))
        sides: tuple[tuple[Measure, list[Outcome]], ...] = tuple((measure, []) for measure in measures)
        for number in tqdm(range(rounds), unit="round", dynamic_ncols=True, leave=False, desc=scenario.name):
            for measure, outcomes in sides if number % 2 == 0 else sides[::-1]:
                outcomes.append(measure(seconds))
    return compared(scenario, sides[0][1], sides[1][1])


def compare_all(
    path: Path, scenarios: Sequence[Scenario], compare_one: Callable[[Scenario], Comparison], notes: dict[str, str]
) -> None:
    """Measure scenarios, and print and write each as soon as it is measured.

    One that fails does not keep the others from being measured, but the command fails in the end.
    """
    rows: list[Comparison] = []
    failed = []
    for scenario in scenarios:
        try:
            rows.append(compare_one(scenario))
        except command.FAILURES as error:
            click.echo(f"{scenario.name}: {error}", err=True)
            failed.append(scenario.name)
            continue
        click.echo(rows[-1])
        write_table(path, notes, rows)
    if failed:
        raise click.ClickException(f"Not measured: {', '.join(failed)}.")


@options.command("PEERBUS_VERSUS", "--rounds")
@click.argument("other_checkout", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--other-python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Python to run the other server with.  [default: its .venv/bin/python]",
)
@click.option(
    "--only",
    type=click.Choice([each.name for each in SCENARIOS]),
    multiple=True,
    help="Scenario to measure; repeat it for more.  [default: all]",
)
@click.option("--rounds", type=click.IntRange(1, 100), default=10, help="Rounds, of which medians are taken.")
@click.option("--seconds", type=click.IntRange(1, 60), default=2, help="Seconds of a round.")
@click.option("--busy", type=click.IntRange(1, 64), default=2, help="Busy processes in publish-busy-16.")
@command.RESULTS
def main(
    other_checkout: Path,
    other_python: Path | None,
    only: tuple[str, ...],
    rounds: int,
    seconds: int,
    busy: int,
    results: Path,
) -> None:
    """Compare this checkout's indexing server (new) with that of OTHER_CHECKOUT (old), by turns in one run.

    \b
    publish-N, publish-many-N   single messages, and 1,000 a request, over N connections of wrk
    publish-busy-16             beside busy processes
    publish-disk-N              with a data folder, in the temporary folder (TMPDIR)
    pull-16, pull-many-16       one waiting message a request, and 1,000
    waking-1000                 1,000 waiting pulls, answered after one publish
    livez-16                    next to no work
    Prints old before new; writes versus.csv.
    """  # noqa: D301  # click's mark for lines that stay as they are
    folder = other_checkout.absolute()
    old = Checkout(folder, (other_python or folder / ".venv/bin/python").absolute())
    if not old.python.exists():
        raise click.UsageError(f"{old.python} does not exist; name another with --other-python.")
    new = Checkout(ROOT, Path(sys.executable))
    notes = command.describe(
        old=f"{command.commit(old.folder)}, {command.python_version(old.python)}",
        new=f"{command.commit(new.folder)}, {command.python_version(new.python)}",
        programs=command.packages("wrk"),
        open_files=allow_sockets(),
        rounds=rounds,
        seconds=seconds,
        busy=busy,
    )
    chosen = [each for each in SCENARIOS if not only or each.name in only]
    with command.errors_in_one_line():
        path = results / "versus.csv"
        compare_all(path, chosen, lambda each: compare(each, old, new, rounds, seconds, busy), notes)


if __name__ == "__main__":
    options.run(main)
