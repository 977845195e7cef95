"""`GET /metrics`: metrics in the text format of Prometheus."""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from peerbus import __version__
from peerbus.histogram import Durations, Histogram
from peerbus.http.pages import Page

Values = Iterable[tuple[Sequence[str], float]]
"""Values with the labels of each."""


class _Looking(Collector):
    """A collector that calls a function for each scrape."""

    def __init__(self, look: Callable[[], Iterable[Metric]]) -> None:
        self._look = look

    def collect(self) -> Iterable[Metric]:
        """The current metrics."""
        return self._look()


def metrics_page(durations: Durations, look: Callable[[], Iterable[Metric]]) -> Page:
    """The page of the metrics that `look` returns at each scrape, the version, request durations, and the process."""
    registry = CollectorRegistry()
    registry.register(_Looking(look))
    registry.register(_Looking(lambda: [_build(), _requests(durations)]))
    ProcessCollector(registry=registry)
    return Page(
        "/metrics",
        CONTENT_TYPE_PLAIN_0_0_4,
        lambda: generate_latest(registry),
        description="Metrics for Prometheus, in its text format.",
    )


def counter(name: str, meaning: str, value: float) -> Metric:
    """A total since the start of the process; it never falls."""
    return CounterMetricFamily(f"peerbus_{name}", meaning, value)


def gauge(name: str, meaning: str, value: float) -> Metric:
    """A current value."""
    return GaugeMetricFamily(f"peerbus_{name}", meaning, value)


def counters(name: str, meaning: str, labels: tuple[str, ...], values: Values) -> Metric:
    """A total of each of several things."""
    return _labelled(CounterMetricFamily(f"peerbus_{name}", meaning, labels=labels), values)


def gauges(name: str, meaning: str, labels: tuple[str, ...], values: Values) -> Metric:
    """A current value of each of several things."""
    return _labelled(GaugeMetricFamily(f"peerbus_{name}", meaning, labels=labels), values)


def histogram(name: str, meaning: str, histogram: Histogram) -> Metric:
    """A distribution of durations, in seconds."""
    family = HistogramMetricFamily(f"peerbus_{name}", meaning)
    family.add_metric([], _buckets(histogram), histogram.seconds)
    return family


def _labelled(family: CounterMetricFamily | GaugeMetricFamily, values: Values) -> Metric:
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _build() -> Metric:
    return gauges("build_info", "1, with the version of peerbus as a label.", ("version",), [([__version__], 1)])


def _requests(durations: Durations) -> Metric:
    meaning = "Duration of requests by call and status, from their arrival until the answer is ready to send."
    family = HistogramMetricFamily("peerbus_request_duration_seconds", meaning, labels=("call", "status"))
    for (call, status), histogram in durations.counted().items():
        family.add_metric([call, str(status)], _buckets(histogram), histogram.seconds)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """For each bound in seconds, the number of durations up to it."""
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.buckets), strict=True))
