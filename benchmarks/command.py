"""Shared by the benchmarks' commands: options, errors in one line, conditions, tables read and reported."""

import os
import platform
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import click

from benchmarks.load import ConnectionBroken, SetupFailed
from benchmarks.processes import NotStarted
from benchmarks.stats import Row, Table, TableError, read_table
from benchmarks.wrk import WrkFailed
from peerbus import __version__

LIBRARIES = ("Flask", "msgspec", "uvloop", "httptools")
"""Those of them that are installed are named."""
MOST_PEERS = 500
MOST_TOPICS = 1_000_000
"""The limit of a server with its default options."""
FULL_REQUESTS = 10_000
QUICK_REQUESTS = 5000
FAILURES = (ConnectionBroken, NotStarted, SetupFailed, WrkFailed)
"""The faults of systems under test and of wrk."""


class Counts(click.ParamType[list[int]]):
    """Numbers of peers such as `1,2,5` or `1-10,20`, in rising order, each once."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """The numbers as a list."""
        if isinstance(value, list):
            return value
        numbers: set[int] = set()
        try:
            for part in str(value).split(","):
                first, _, last = part.partition("-")
                numbers.update(range(int(first), int(last or first) + 1))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 1,2,5 or 1-10,20.", param, ctx)
        if not numbers or min(numbers) < 1 or max(numbers) > MOST_PEERS:
            self.fail(f"{value!r} has numbers of peers that are not from 1 to {MOST_PEERS}.", param, ctx)
        return sorted(numbers)


PEERS = click.option(
    "--peers",
    type=Counts(),
    default=None,
    help="Numbers of peers to measure with: 1,2,5 or 1-10.",
)
REQUESTS = click.option(
    "--requests",
    type=click.IntRange(1, 100_000),
    default=None,
    help="Requests of a measurement, shared out among the peers.  [default: 10000; with --quick 5000]",
)
RESULTS = click.option(
    "--results", type=click.Path(file_okay=False, path_type=Path), default="results", help="Folder for CSV and plots."
)
ROUNDS = click.option("--rounds", type=click.IntRange(1, 100), default=5, help="Rounds, of which medians are taken.")
SECONDS = click.option("--seconds", type=click.IntRange(1, 60), default=3, help="Seconds of a round.")
CONNECTIONS = click.option("--connections", type=click.IntRange(1, 1000), default=16, help="Connections of wrk.")
QUICK = click.option("--quick", is_flag=True, help="Less of everything that is not named.")
PLOT_ONLY = click.option("--plot-only", is_flag=True, help="Draw the plots again from the CSV, measuring nothing.")


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End the command with one line if a system under test, or wrk, fails.

    SIGTERM acts like Ctrl-C, so that it stops the processes under test too.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except FAILURES as error:
        raise click.ClickException(str(error)) from None


def read(path: Path, kind: type[Row]) -> Table[Row]:
    """Read a table to draw. A file that is no table, or an empty one, ends the command with one line."""
    try:
        found = read_table(path, kind)
    except TableError as error:
        raise click.ClickException(str(error)) from None
    if not found.rows:
        raise click.ClickException(f"{path} has no measurements.")
    return found


def report(path: Path, found: Table[Any], plots: list[Path]) -> None:
    """Print what was written, and the number of errors in it."""
    errors = sum(row.errors for row in found.rows)
    click.echo(f"{path}: {errors} errors.\nPlots: {', '.join(map(str, plots))}")


# The conditions of a measurement


def describe(**parameters: object) -> dict[str, str]:
    """What figures depend on besides the code: the machine, the versions, the time, the benchmark's parameters."""
    installed = {each.name: each.version for each in distributions()}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu_model(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory_bytes() / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "peerbus": __version__,
        "libraries": ", ".join(f"{name} {installed[name]}" for name in LIBRARIES if name in installed),
        "load_average": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        **{name: str(value) for name, value in parameters.items()},
    }


def packages(*names: str) -> str:
    """The versions of programs that are installed as Debian packages; empty on other systems."""
    return _output("dpkg-query", "--show", "--showformat", "${Package} ${Version}, ", *names).rstrip(", ")


def commit(folder: Path) -> str:
    """The commit that a checkout is at, with its subject; empty where git does not know."""
    return _output("git", "-C", str(folder), "log", "-1", "--format=%h %s")


def python_version(python: Path) -> str:
    """The version of a Python interpreter."""
    return _output(str(python), "--version")


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603  # as written here
    except FileNotFoundError:
        return ""


def cpu_model() -> str:
    """The processor's name, as far as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def memory_bytes() -> int:
    """The bytes of memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
