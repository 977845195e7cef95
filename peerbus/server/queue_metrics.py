"""The metrics of single topics and message queues."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from prometheus_client import Metric

from peerbus.broker import Overview
from peerbus.broker.results import QueueFigures
from peerbus.errors import TopicNotFound
from peerbus.http.metrics import Values, counters, gauges
from peerbus.server.largest_backlogs import LargestBacklogs, slices
from peerbus.wire.views import TopicView


class _Figure(NamedTuple):
    """One metric: `metric` makes it, `field` is the field of a view that it shows."""

    metric: Callable[[str, str, tuple[str, ...], Values], Metric]
    name: str
    meaning: str
    field: str


OF_TOPICS = (
    _Figure(gauges, "topic_unread_messages", "Messages that the topic's slowest queue has yet to settle.", "unread"),
    _Figure(counters, "topic_messages_published", "Messages published since the topic was created.", "next_offset"),
    _Figure(counters, "topic_messages_dropped", "Messages dropped, for overflow or age, while unread.", "dropped"),
    _Figure(counters, "topic_messages_missed", "Messages lost to subscribers before they pulled them.", "missed"),
    _Figure(counters, "topic_messages_discarded", "Unread messages of queues that ended.", "discarded"),
    _Figure(counters, "topic_messages_redelivered", "Redeliveries of messages.", "redelivered"),
    _Figure(counters, "topic_messages_dead_lettered", "Messages moved to a dead-letter topic.", "dead_lettered"),
    _Figure(counters, "topic_publishes_refused", "Publishes that found no room.", "refused"),
)
OF_QUEUES = (
    _Figure(gauges, "queue_unread_messages", "Messages that are not pulled or not acknowledged yet.", "unread"),
    _Figure(gauges, "queue_in_flight_messages", "Messages handed over and not acknowledged yet.", "in_flight"),
    _Figure(
        gauges, "queue_oldest_unread_seconds", "Age of the oldest message that is not acknowledged.", "oldest_unread"
    ),
    _Figure(counters, "queue_messages_pulled", "Deliveries of messages, redeliveries included.", "pulled"),
    _Figure(counters, "queue_messages_missed", "Messages lost before they were pulled.", "missed"),
)


def queue_metrics(broker: Overview, shown: LargestBacklogs) -> Iterator[Metric]:
    """The metrics of the topics and queues in `shown`, without those that are gone."""
    topics = [view for names in slices(shown.topics) for view in broker.topic_views(names)]
    yield from _metrics(OF_TOPICS, ("topic",), topics)
    queues = [figures for topic, names in shown.queues.items() for figures in _figures(broker, topic, names)]
    yield from _metrics(OF_QUEUES, ("topic", "queue"), queues)


def _figures(broker: Overview, topic: str, names: list[str]) -> list[QueueFigures]:
    with suppress(TopicNotFound):
        return [figures for some in slices(names) for figures in broker.queue_figures(topic, some)]
    return []


def _metrics(
    figures: Iterable[_Figure], labels: tuple[str, ...], entries: Sequence[TopicView | QueueFigures]
) -> Iterator[Metric]:
    """Each figure of all entries; the labels are fields of the entries, too."""
    named = [(tuple(getattr(entry, label) for label in labels), entry) for entry in entries]
    for figure in figures:
        values = [(names, getattr(entry, figure.field)) for names, entry in named]
        yield figure.metric(figure.name, figure.meaning, labels, values)
