"""The metrics of an indexing server."""

from collections.abc import Iterator
from itertools import islice

from prometheus_client import Metric

from peerbus.broker import Overview
from peerbus.http.event_loop import Loop
from peerbus.http.metrics import counter, gauge, histogram
from peerbus.storage.group_commit import InMemory

TOPICS_AT_ONCE = 1000
"""Topics looked at in one go, so that nobody waits long for the broker."""


def broker_metrics(
    broker: Overview, memory_limit: int, journal: InMemory, streams: int, loop: Loop
) -> Iterator[Metric]:
    """What a broker did and holds, and what keeping it costs; none of it grows with the number of peers or topics."""
    stats = broker.stats()
    yield counter("messages_published", "Messages published.", stats.published)
    yield counter("messages_pulled", "Messages handed over, each time it was.", stats.pulled)
    yield counter("messages_redelivered", "Messages handed over again.", stats.redelivered)
    yield counter("messages_acknowledged", "Messages acknowledged explicitly.", stats.acknowledged)
    yield counter("messages_missed", "Messages lost to a subscriber before it pulled them.", stats.missed)
    yield counter("messages_discarded", "Messages that were unread in queues that ended.", stats.discarded)
    yield counter("messages_dead_lettered", "Messages moved to a dead-letter topic.", stats.dead_lettered)
    yield counter("peers_expired", "Peers removed because their lease ran out.", stats.expired_peers)
    yield gauge("peers", "Peers registered.", stats.peers)
    yield gauge("topics", "Topics existing.", stats.topics)
    yield gauge("subscriptions", "Subscriptions of all peers.", stats.subscriptions)
    yield gauge("waiting_pulls", "Pulls that wait for a message.", stats.waiting_pulls)
    yield gauge("streams", "Streams open.", streams)
    yield gauge("unacknowledged_messages", "Messages handed over and not acknowledged.", stats.unacknowledged)
    total, largest = _backlog(broker)
    yield gauge("unread_messages", "Messages that a subscriber has yet to pull or acknowledge.", total)
    yield gauge("unread_messages_max", "The same in the topic that has most: the slowest subscriber's.", largest)
    yield gauge("memory_bytes", "What messages and message ids count for in memory.", stats.memory_bytes)
    yield gauge("memory_limit_bytes", "What they may count for: --max-bytes.", memory_limit)
    yield gauge("stored_bytes", "What is taken up on disk.", stats.stored_bytes)
    meaning = "How late timers of the event loop were: as long as single turns of it took."
    yield histogram("loop_lag_seconds", meaning, loop.lag)
    if journal.commits is not None:
        meaning = "Transactions that wrote to the disk, until it was flushed."
        yield histogram("journal_commit_duration_seconds", meaning, journal.commits)


def _backlog(broker: Overview) -> tuple[int, int]:
    """Unread messages, of all topics and of the one that has most."""
    names = iter(broker.topic_names())
    total = largest = 0
    while some := list(islice(names, TOPICS_AT_ONCE)):
        backlogs = broker.backlogs(some)
        total += sum(backlogs)
        largest = max(largest, *backlogs)
    return total, largest
