"""What Prometheus reads at `GET /metrics`."""

from collections.abc import Callable, Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from peerbus.histogram import Durations, Histogram
from peerbus.http.pages import Page


class _Looking(Collector):
    """Makes metrics when they are asked for."""

    def __init__(self, look: Callable[[], Iterable[Metric]]) -> None:
        self._look = look

    def collect(self) -> Iterable[Metric]:
        """What there is to see now."""
        return self._look()


def metrics_page(durations: Durations, look: Callable[[], Iterable[Metric]]) -> Page:
    """The page with what `look` finds, how long requests took, and how the process fares."""
    registry = CollectorRegistry()
    registry.register(_Looking(look))
    registry.register(_Looking(lambda: [_requests(durations)]))
    ProcessCollector(registry=registry)
    return Page(
        "/metrics",
        CONTENT_TYPE_PLAIN_0_0_4,
        lambda: generate_latest(registry),
        description="Figures for Prometheus, in its text format.",
    )


def counter(name: str, meaning: str, value: float) -> Metric:
    """A total that only grows while the process runs."""
    return CounterMetricFamily(f"peerbus_{name}", meaning, value)


def gauge(name: str, meaning: str, value: float) -> Metric:
    """How much there is now."""
    return GaugeMetricFamily(f"peerbus_{name}", meaning, value)


def histogram(name: str, meaning: str, histogram: Histogram) -> Metric:
    """How long things took."""
    family = HistogramMetricFamily(f"peerbus_{name}", meaning)
    family.add_metric([], _buckets(histogram), histogram.seconds)
    return family


def _requests(durations: Durations) -> Metric:
    meaning = "Requests by call and status, from when they came until there was an answer to send."
    family = HistogramMetricFamily("peerbus_request_duration_seconds", meaning, labels=("call", "status"))
    for (call, status), histogram in durations.counted().items():
        family.add_metric([call, str(status)], _buckets(histogram), histogram.seconds)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """For each bound, how many took no longer."""
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.buckets), strict=True))
