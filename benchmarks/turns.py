"""The longest turns of the server's event loop under its largest requests: `python -m benchmarks.turns --help`."""

import gc
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import click

from benchmarks import command, environment
from benchmarks.connection import OK, TIMEOUT_SECONDS, prepare
from benchmarks.load import SetupFailed, ask
from benchmarks.stats import write_table
from benchmarks.turn_cases import LIMITS, STREAMS, Case, cases
from peerbus.broker import Broker
from peerbus.cli import options
from peerbus.future import Future
from peerbus.http.listener import allow_sockets, bind
from peerbus.server.server import IndexingServer, ServerOptions

QUICK_PART = 20


@dataclass(frozen=True)
class Row:
    """The longest turn of the loop in a case, in milliseconds.

    `cpu_ms` is what the loop's thread computed itself in its longest turn; the rest of `turn_ms` it waited for the
    interpreter, or for a processor.
    """

    case: str
    turn_ms: float
    cpu_ms: float
    rounds: int


class Probe:
    """Measures each turn of a loop, by a callback in each of them."""

    def __init__(self, server: IndexingServer) -> None:
        self._server = server
        self._events = server.loop.events
        self._longest = self._longest_cpu = 0.0
        self._last: tuple[float, float] | None = None
        server.loop.call_soon(self._turn)

    def begin(self) -> tuple[float, float]:
        """Begin anew; returns the longest turn until now, and the longest of the processor's time."""
        done: Future[tuple[float, float]] = Future()
        self._server.loop.call_soon(self._begin, done)
        return done.result()

    def _begin(self, done: Future[tuple[float, float]]) -> None:
        found = self._longest, self._longest_cpu
        self._longest = self._longest_cpu = 0.0
        done.set_result(found)

    def _turn(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        if self._last:
            self._longest = max(self._longest, now - self._last[0])
            self._longest_cpu = max(self._longest_cpu, cpu - self._last[1])
        self._last = now, cpu
        self._events.call_soon(self._turn)


def serve(pipe: Connection, prepared: Callable[[Broker], object]) -> None:
    """Run a server in this process; each message of the pipe ends one measurement and begins the next."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_sockets()
    server = IndexingServer(bind("127.0.0.1", 0), ServerOptions(LIMITS, max_streams=2 * STREAMS))
    server.start()
    prepared(server.broker)
    gc.freeze()
    probe = Probe(server)
    pipe.send(server.url)
    while pipe.recv():
        pipe.send(probe.begin())
    server.stop()
    server.wait()


@contextmanager
def probed(prepared: Callable[[Broker], object]) -> Iterator[tuple[str, Callable[[], tuple[float, float]], int]]:
    """A server in a process of its own: its URL, what gives its longest turn since it was last called, and its id.

    The turn is in seconds; with it comes the longest of the processor's time.
    """
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs, prepared))
    process.start()
    theirs.close()

    def take() -> tuple[float, float]:
        ours.send(True)
        taken: tuple[float, float] = ours.recv()
        return taken

    try:
        yield ours.recv(), take, process.pid or 0
        ours.send(False)
    except EOFError:
        raise SetupFailed("The server ended before it served.") from None
    finally:
        process.join(TIMEOUT_SECONDS)
        process.kill()


def measure(case: Case) -> tuple[float, float]:
    """The longest turn in one run of a case, in seconds, and the longest of the thread's own time."""
    with probed(case.prepared) as (url, take, _):
        found = 0.0, 0.0

        @contextmanager
        def measuring() -> Iterator[None]:
            nonlocal found
            take()
            yield
            ask(url, prepare("livez", method="GET", expected=OK))
            found = take()

        case.drive(url, measuring)
    return found


@options.command("PEERBUS_TURNS", "--rounds")
@command.ROUNDS
@command.RESULTS
@click.option("--quick", is_flag=True, help=f"One in {QUICK_PART} of everything.")
@click.option("--only", default="", help="The cases with this in their names.")
def main(rounds: int, results: Path, quick: bool, only: str) -> None:
    """Measure the longest turns of the indexing server's event loop under its largest requests: turns.csv."""
    notes = environment.describe(rounds=rounds, open_files=allow_sockets())
    rows = []
    with command.errors_in_one_line():
        for case in cases(QUICK_PART if quick else 1):
            if only not in case.name:
                continue
            turns, cpu = zip(*(measure(case) for _ in range(rounds)), strict=True)
            rows.append(Row(case.name, median(turns) * 1000, median(cpu) * 1000, rounds))
            click.echo(f"{case.name:45} {rows[-1].turn_ms:8.1f} ms, {rows[-1].cpu_ms:8.1f} ms of them computing")
    write_table(results / "turns.csv", notes, rows)


if __name__ == "__main__":
    options.run(main)
