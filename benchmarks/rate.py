"""A rate: one row of the CSV of what wrk measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.system import Outcome, System


@dataclass(frozen=True, slots=True)
class Rate:
    """What one system came to in several rounds.

    The rate and the latencies are the medians of the rounds, `least` and `most` the rates of the slowest and the
    fastest one, `errors` the sum. `stolen` is the median of what the hypervisor took away, a share of all processors'
    time. `ratio` is the median of the rates divided by those that the system named in `against` had in the same round.
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
    """The rate of each system, by what its rounds came to."""
    by_name = {(system.name, system.call): its for system, its in outcomes.items()}
    return [_rate(system, its, by_name.get((system.against, system.call), [])) for system, its in outcomes.items()]


def _rate(system: System, outcomes: Sequence[Outcome], others: Sequence[Outcome]) -> Rate:
    every = [each.messages_per_s for each in outcomes]
    pairs = zip(outcomes, others, strict=False)
    ratios = [each.messages_per_s / other.messages_per_s for each, other in pairs if other.messages_per_s]
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
        ratio=median(ratios) if ratios else math.nan,
    )
