"""The metrics of an indexing server."""

from collections.abc import Iterator
from itertools import islice

from prometheus_client import Metric

from peerbus.broker import Overview
from peerbus.http.event_loop import Loop
from peerbus.http.metrics import counter, gauge, histogram
from peerbus.storage.group_commit import InMemory

TOPICS_AT_ONCE = 1000
"""Topics read under one hold of the broker's lock, so that other calls do not wait long."""


def broker_metrics(
    broker: Overview, memory_limit: int, journal: InMemory, streams: int, loop: Loop
) -> Iterator[Metric]:
    """The metrics of the broker, of its journal and of its streams. Their number does not depend on peers or topics.

    The totals are of one moment. The unread messages are read later, `TOPICS_AT_ONCE` topics at a time.
    """
    stats = broker.stats()
    yield counter("messages_published", "Messages published.", stats.published)
    yield counter("messages_pulled", "Deliveries of messages, redeliveries included.", stats.pulled)
    yield counter("messages_redelivered", "Redeliveries of messages.", stats.redelivered)
    yield counter("messages_acknowledged", "Messages acknowledged explicitly.", stats.acknowledged)
    yield counter("messages_missed", "Messages lost to a subscriber before it pulled them.", stats.missed)
    yield counter("messages_discarded", "Unread messages of queues that ended.", stats.discarded)
    yield counter("messages_dead_lettered", "Messages moved to a dead-letter topic.", stats.dead_lettered)
    yield counter("peers_expired", "Peers removed because their lease ran out.", stats.expired_peers)
    yield gauge("peers", "Peers registered.", stats.peers)
    yield gauge("topics", "Topics that exist.", stats.topics)
    yield gauge("subscriptions", "Subscriptions of all peers.", stats.subscriptions)
    yield gauge("waiting_pulls", "Pulls that wait for a message.", stats.waiting_pulls)
    yield gauge("streams", "Open streams.", streams)
    yield gauge(
        "unacknowledged_messages", "Messages in flight: handed over and not acknowledged yet.", stats.unacknowledged
    )
    yield gauge("scheduled_messages", "Messages that are published later.", stats.scheduled)
    total, largest = _backlog(broker)
    yield gauge(
        "unread_messages", "Messages that at least one subscriber has not pulled or not acknowledged yet.", total
    )
    yield gauge(
        "unread_messages_max",
        "The largest number of unread messages of one topic: the backlog of the slowest subscriber.",
        largest,
    )
    yield gauge("memory_bytes", "Bytes of memory that messages and message ids count for.", stats.memory_bytes)
    yield gauge("memory_limit_bytes", "The limit of memory_bytes: --max-bytes.", memory_limit)
    yield gauge("stored_bytes", "Bytes on disk.", stats.stored_bytes)
    yield histogram("loop_lag_seconds", "Delays of the event loop's timer: how long other work held it up.", loop.lag)
    if journal.commits is not None:
        meaning = "Duration of transactions that wrote to the disk, flush included."
        yield histogram("journal_commit_duration_seconds", meaning, journal.commits)


def _backlog(broker: Overview) -> tuple[int, int]:
    """Unread messages: the sum over all topics, and the largest of one topic."""
    names = iter(broker.topic_names())
    total = largest = 0
    while some := list(islice(names, TOPICS_AT_ONCE)):
        backlogs = broker.backlogs(some)
        total += sum(backlogs)
        largest = max(largest, *backlogs)
    return total, largest
