"""Measuring a system with wrk, an independent load generator in C: https://github.com/wg/wrk."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
from tqdm import tqdm

from benchmarks.load import Request, ask
from benchmarks.processes import StealTime

NAME = "wrk"
SCRIPT = Path(__file__).with_suffix(".lua")
END_OF_REQUEST = b"\0"
GRACE_SECONDS = 30


class WrkFailed(Exception):
    """wrk is not installed, or printed no result."""


class Report(msgspec.Struct, forbid_unknown_fields=True):
    """What `wrk.lua` prints at the end of a run.

    `refused` of the `answers` had a status of 400 or more. `broken` counts connections that failed or were silent for
    two seconds. The latencies `p50` and `p99` are in microseconds.
    """

    answers: int
    microseconds: int
    refused: int
    broken: int
    p50: int
    p99: int


class Outcome(NamedTuple):
    """The result of one round.

    `answers` counts the good answers; `errors` those that are missing or not as expected. `stolen` is the steal time
    as a share of all processors' time, `cpu_us` the microseconds of processor time that the system used for a good
    answer, 0 where it is not measured.
    """

    messages_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    answers: int = 0
    stolen: float = 0.0
    cpu_us: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """A system under test, and the requests that wrk sends to it by turns.

    `against` names the system, if any, that its rate is compared with. A request has `messages` messages. `total`
    returns how many messages the system has handled so far by its own account, since an answer of status 200 may be
    empty; `processor` returns the seconds of processor time that it has used so far. Each round runs inside the
    context `during`, which prepares it. After each round, the first request is sent once more and its answer checked.
    """

    name: str
    call: str
    url: str
    requests: Sequence[Request]
    against: str = ""
    messages: int = 1
    total: Callable[[], int] | None = None
    during: Callable[[], AbstractContextManager[None]] = nullcontext
    processor: Callable[[], float] | None = None

    def measure(self, connections: int, seconds: int) -> Outcome:
        """Run wrk for one round; raises `WrkFailed`, `ConnectionBroken` and `SetupFailed`."""
        with self.during():
            before = self.total() if self.total else 0
            processor = self.processor or float
            steal, processor_before = StealTime(), processor()
            report = attack(self.url, [request.data for request in self.requests], connections, seconds)
            stolen, used = steal.share(), processor() - processor_before
            handled = self.total() - before if self.total else None
            ask(self.url, self.requests[0])
        result = outcome(report, self.messages, handled)
        return result._replace(stolen=stolen, cpu_us=used * 1e6 / max(1, result.answers))


def outcome(report: Report, messages: int, handled: int | None) -> Outcome:
    """The outcome of a run whose requests have `messages` messages each, if the system says it `handled` so many.

    The system may have handled more than were answered in time; where it handled fewer, the answers that brought
    nothing are errors.
    """
    good = report.answers - report.refused
    empty = 0
    if handled is not None and handled < good * messages:
        empty = good - handled // messages
    answers = good - empty
    rate = answers * messages / (report.microseconds / 1e6)
    return Outcome(rate, report.p50 / 1000, report.p99 / 1000, report.refused + report.broken + empty, answers)


def by_turns(systems: Sequence[System], rounds: int, connections: int, seconds: int) -> dict[System, list[Outcome]]:
    """The outcomes of each system. Every round measures all systems, so that other load on the machine meets all."""
    outcomes: dict[System, list[Outcome]] = {system: [] for system in systems}
    with tqdm(total=rounds * len(systems), unit="run", dynamic_ncols=True, leave=False) as bar:
        for _ in range(rounds):
            for system, its in outcomes.items():
                bar.set_description(f"{system.call}: {system.name}")
                its.append(system.measure(connections, seconds))
                bar.update()
    return outcomes


def is_installed() -> bool:
    """Whether wrk can be run."""
    return shutil.which(NAME) is not None


def attack(url: str, requests: Sequence[bytes], connections: int, seconds: int) -> Report:
    """Send requests by turns over keep-alive connections, as fast as they are answered; raises `WrkFailed`."""
    program = shutil.which(NAME)
    if program is None:
        raise WrkFailed("wrk is not installed; Debian has it: apt-get install wrk.")
    with tempfile.NamedTemporaryFile(prefix="peerbus-wrk-") as file:
        file.writelines(request + END_OF_REQUEST for request in requests)
        file.flush()
        pace = (f"-c{connections}", f"-d{seconds}s")
        command = [program, "-t1", *pace, "-s", str(SCRIPT), url, "--", file.name]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds + GRACE_SECONDS, check=False)  # noqa: S603  # wrk
    return parse(ended.stdout, ended.stderr)


def parse(output: str, errors: str = "") -> Report:
    """The report in the last line of wrk's output; raises `WrkFailed`."""
    last = output.rstrip().rpartition("\n")[2]
    try:
        return msgspec.json.decode(last, type=Report)
    except msgspec.DecodeError:
        raise WrkFailed(f"wrk printed no result: {(errors or output).strip()}") from None
