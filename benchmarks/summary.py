"""What many latencies come to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The least of the ordered values that `percent` of them do not exceed (nearest rank)."""
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
