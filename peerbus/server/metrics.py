"""The metrics of an indexing server."""

from collections.abc import Iterator, Mapping

from prometheus_client import Metric

from peerbus.broker import Overview
from peerbus.http.event_loop import Loop
from peerbus.http.metrics import counter, counters, gauge, histogram
from peerbus.server.largest_backlogs import largest_backlogs
from peerbus.server.queue_metrics import queue_metrics
from peerbus.storage.group_commit import InMemory
from peerbus.wire.views import Stats


def broker_metrics(
    broker: Overview, journal: InMemory, streams: int, pushes: Mapping[str, int], loop: Loop, queues: int
) -> Iterator[Metric]:
    """The metrics of the broker, its journal, streams and pushes, and of up to `queues` topics and as many queues.

    Totals and present figures are of one moment. The topics and queues are read later, slice by slice.
    """
    stats = broker.stats()
    yield from _totals(stats)
    yield from _present(stats)
    yield gauge("streams", "Open streams.", streams)
    meaning = "Requests that pushed messages, by how they ended: taken, busy (asked to wait), or failed."
    yield counters("pushes", meaning, ("outcome",), [((outcome,), count) for outcome, count in pushes.items()])
    yield from _backlogs(broker, queues)
    yield loop_lag(loop)
    if journal.commits is not None:
        meaning = "Duration of transactions that wrote to the disk, flush included."
        yield histogram("journal_commit_duration_seconds", meaning, journal.commits)


def loop_lag(loop: Loop) -> Metric:
    """The delays of a loop."""
    return histogram("loop_lag_seconds", "Delays of the event loop's timer: how long other work held it up.", loop.lag)


def _totals(stats: Stats) -> Iterator[Metric]:
    yield counter("messages_published", "Messages published.", stats.published)
    yield counter("messages_pulled", "Deliveries of messages, redeliveries included.", stats.pulled)
    yield counter("messages_overdue", "Messages not acknowledged before their deadline.", stats.overdue)
    yield counter("messages_redelivered", "Redeliveries of messages.", stats.redelivered)
    yield counter("messages_acknowledged", "Messages acknowledged explicitly.", stats.acknowledged)
    yield counter("messages_missed", "Messages lost to a subscriber before it pulled them.", stats.missed)
    yield counter("messages_discarded", "Unread messages of queues that ended.", stats.discarded)
    yield counter("messages_dead_lettered", "Messages moved to a dead-letter topic.", stats.dead_lettered)
    yield counter("publishes_refused", "Publishes that found no room: in their topic, memory or disk.", stats.refused)
    yield counter("peers_expired", "Peers removed because their lease ran out.", stats.expired_peers)


def _present(stats: Stats) -> Iterator[Metric]:
    in_flight = "Messages in flight: handed over and not acknowledged yet."
    yield gauge("peers", "Peers registered.", stats.peers)
    yield gauge("topics", "Topics that exist.", stats.topics)
    yield gauge("subscriptions", "Subscriptions of all peers.", stats.subscriptions)
    yield gauge("waiting_pulls", "Pulls that wait for a message.", stats.waiting_pulls)
    yield gauge("unacknowledged_messages", in_flight, stats.unacknowledged)
    yield gauge("scheduled_messages", "Messages that are published later.", stats.scheduled)
    yield counter("message_ids_forgotten", "Message ids forgotten early, because memory was full.", stats.forgotten_ids)
    yield gauge("memory_bytes", "Bytes that messages and notes on them count for.", stats.memory_bytes)
    yield gauge("memory_limit_bytes", "The limit of memory_bytes: --max-bytes.", stats.max_bytes)
    yield gauge("stored_bytes", "Bytes on disk.", stats.stored_bytes)


def _backlogs(broker: Overview, queues: int) -> Iterator[Metric]:
    unread = "Messages that at least one subscriber has not pulled or not acknowledged yet."
    slowest = "The largest number of unread messages of one topic: the backlog of the slowest subscriber."
    backlogs = largest_backlogs(broker, queues)
    yield gauge("unread_messages", unread, backlogs.total)
    yield gauge("unread_messages_max", slowest, backlogs.largest)
    if queues:
        yield from queue_metrics(broker, backlogs)
