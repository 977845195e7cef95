"""The figures: summaries of latencies, measurements of a call, rates of a system, and the CSV that they are kept in."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, median
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from benchmarks.load import Load
from benchmarks.wrk import Outcome, System

COMMENT = "# "
Row = TypeVar("Row")
"""A dataclass of numbers and text."""


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest of the ordered values that at least `percent` of them do not exceed (nearest rank)."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True)
class Summary:
    """The mean and the percentiles of latencies, in milliseconds; all are NaN where there is no latency."""

    mean_ms: float
    min_ms: float
    p25_ms: float
    p50_ms: float
    p75_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def summarise(latencies: Sequence[float]) -> Summary:
    """The summary of latencies given in seconds."""
    ordered = [1000 * latency for latency in sorted(latencies)]
    mean = fmean(ordered) if ordered else math.nan
    return Summary(mean, *(percentile(ordered, percent) for percent in (0, 25, 50, 75, 95, 99, 100)))


@dataclass(frozen=True, slots=True)
class Measurement(Summary):
    """One call, measured through peer nodes or directly at the indexing server.

    `peers` callers called at once, each on one connection. `errors` counts the answers that were not as expected;
    all other figures are of the good answers. `generator_cpu` is the share of one processor core that the load
    generator used, `stolen` the steal time as a share of all processors' time.
    """

    call: str
    via: str
    peers: int
    messages_per_request: int
    requests: int
    errors: int
    seconds: float
    requests_per_s: float
    messages_per_s: float
    generator_cpu: float
    stolen: float


@dataclass(frozen=True, slots=True)
class ResponseTime(Measurement):
    """One call, measured while the server has so many `topics`."""

    topics: int


def measured(load: Load, call: str, via: str, peers: int, messages_per_request: int = 0) -> Measurement:
    """The measurement of one of the calls in a load.

    If several calls took turns in the load, each one's time is in proportion to the sum of its latencies.
    """
    latencies = load.latencies[call]
    waited = sum(sum(each) for each in load.latencies.values())
    seconds = load.seconds * sum(latencies) / waited if waited else load.seconds
    rate = len(latencies) / seconds if seconds else 0.0
    return Measurement(
        **asdict(summarise(latencies)),
        call=call,
        via=via,
        peers=peers,
        messages_per_request=messages_per_request,
        requests=len(latencies) + load.errors[call],
        errors=load.errors[call],
        seconds=seconds,
        requests_per_s=rate,
        messages_per_s=rate * messages_per_request,
        generator_cpu=load.processor_seconds / load.seconds if load.seconds else 0.0,
        stolen=load.stolen,
    )


@dataclass(frozen=True, slots=True)
class Rate:
    """One system, measured with wrk in several rounds.

    The rate and the latencies are the medians of the rounds, `least` and `most` the rates of the slowest and the
    fastest round, `errors` the sum. `stolen` is the median of the steal time, a share of all processors' time.
    `ratio` is the median of the rounds' ratios of this rate to that of the system named in `against`.
    """

    system: str
    call: str
    messages_per_request: int
    rounds: int
    messages_per_s: float
    least: float
    most: float
    p50_ms: float
    p99_ms: float
    errors: int
    stolen: float
    against: str
    ratio: float

    def __str__(self) -> str:
        """One line for a person."""
        latency = f"p50 {self.p50_ms:.2f} ms, p99 {self.p99_ms:.2f} ms"
        ratio = "" if math.isnan(self.ratio) else f", {self.ratio:,.2f} x {self.against}"
        what = f"{self.call}, {self.system}"
        trouble = f"{self.errors} errors, {self.stolen:.0%} stolen"
        return f"{what:50} {self.messages_per_s:11,.0f} messages/s; {latency}; {trouble}{ratio}"


def rates(outcomes: Mapping[System, Sequence[Outcome]]) -> list[Rate]:
    """The rate of each system in its rounds."""
    by_name = {(system.name, system.call): its for system, its in outcomes.items()}
    return [_rate(system, its, by_name.get((system.against, system.call), [])) for system, its in outcomes.items()]


def _rate(system: System, outcomes: Sequence[Outcome], others: Sequence[Outcome]) -> Rate:
    every = [each.messages_per_s for each in outcomes]
    compared = ratios(outcomes, others) if others else []
    return Rate(
        system=system.name,
        call=system.call,
        messages_per_request=system.messages,
        rounds=len(outcomes),
        messages_per_s=median(every),
        least=min(every),
        most=max(every),
        p50_ms=median(each.p50_ms for each in outcomes),
        p99_ms=median(each.p99_ms for each in outcomes),
        errors=sum(each.errors for each in outcomes),
        stolen=median(each.stolen for each in outcomes),
        against=system.against,
        ratio=median(compared) if compared else math.nan,
    )


def ratios(outcomes: Sequence[Outcome], others: Sequence[Outcome]) -> list[float]:
    """The ratio of two systems' rates in each round in which the other one had an answer."""
    pairs = zip(outcomes, others, strict=True)
    return [each.messages_per_s / other.messages_per_s for each, other in pairs if other.messages_per_s]


class TableError(Exception):
    """A file is not a table of measurements."""


class Table(NamedTuple, Generic[Row]):
    """The conditions of a measurement by name, and its rows."""

    notes: dict[str, str]
    rows: list[Row]


def columns(kind: type[Any]) -> list[str]:
    """The fields of a kind of row: first its own, which name what was measured, then the inherited figures."""
    names = {field.name for field in fields(kind)}
    return [name for each in kind.__mro__ for name in getattr(each, "__annotations__", ()) if name in names]


def write_table(path: Path, notes: Mapping[str, str], rows: Sequence[Any]) -> None:
    """Write at least one row as CSV after the notes as comments; makes the folder. Decimal numbers have four places."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"{COMMENT}{name}: {value}\n" for name, value in notes.items())
        writer = csv.DictWriter(file, columns(type(rows[0])), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _text(value) for name, value in asdict(row).items()})


def read_table(path: Path, kind: type[Row]) -> Table[Row]:
    """Read a table of one kind of row; raises `TableError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read: {error}.") from None
    notes = [line.removeprefix(COMMENT).partition(": ") for line in lines if line.startswith(COMMENT)]
    data = [line for line in lines if not line.startswith(COMMENT)]
    try:
        rows = msgspec.convert(list(csv.DictReader(data)), list[kind], strict=False)  # type: ignore[valid-type]
    except (msgspec.ValidationError, csv.Error) as error:
        raise TableError(f"{path} is not a table of measurements: {error}.") from None
    return Table({name: value for name, _, value in notes}, rows)


def _text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
