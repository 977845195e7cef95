"""The topics and message queues with the largest backlogs, found a slice at a time."""

from collections.abc import Iterator
from contextlib import suppress
from heapq import heappush, heappushpop
from itertools import islice
from typing import NamedTuple

from peerbus.broker import Overview
from peerbus.broker.results import Backlog
from peerbus.errors import TopicNotFound

ENTRIES_AT_ONCE = 1000
"""Topics or queues read under one hold of the broker's lock, so that other calls do not wait long."""
Name = tuple[str, ...]
"""A topic, or a topic and one of its queues."""


class LargestBacklogs(NamedTuple):
    """The messages that topics are behind by, and the names of those furthest behind; `queues` by topic."""

    total: int
    largest: int
    topics: list[str]
    queues: dict[str, list[str]]


def largest_backlogs(broker: Overview, limit: int) -> LargestBacklogs:
    """The `limit` topics with the largest backlogs, and as many queues; of equal ones, those with most published.

    The queues of a topic are read only if its own backlog, which is that of its slowest queue, is large enough.
    """
    total = largest = 0
    topics, queues = _Largest(limit), _Largest(limit)
    for backlogs in _backlogs(broker):
        for topic, backlog in backlogs.items():
            total += backlog.messages
            largest = max(largest, backlog.messages)
            topics.offer(backlog, (topic,))
        near = [topic for topic, backlog in backlogs.items() if queues.admits(backlog)]
        for topic, count in zip(near, broker.queue_counts(near), strict=True):
            if count and queues.admits(backlogs[topic]):
                _offer_queues(broker, topic, queues)
    found: dict[str, list[str]] = {}
    for topic, queue in queues.names():
        found.setdefault(topic, []).append(queue)
    return LargestBacklogs(total, largest, [topic for (topic,) in topics.names()], found)


def slices(names: list[str]) -> Iterator[list[str]]:
    """The names, `ENTRIES_AT_ONCE` at a time."""
    left = iter(names)
    while some := list(islice(left, ENTRIES_AT_ONCE)):
        yield some


def _backlogs(broker: Overview) -> Iterator[dict[str, Backlog]]:
    """The backlogs of all topics, a slice at a time."""
    after = ""
    while backlogs := broker.backlogs(ENTRIES_AT_ONCE, after):
        yield backlogs
        after = next(reversed(backlogs))


class _Largest:
    """The names of the largest backlogs of those offered, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[Backlog, Name]] = []

    def admits(self, backlog: Backlog) -> bool:
        """Whether such a backlog is among the largest."""
        if len(self._heap) < self._limit:
            return True
        return bool(self._heap) and backlog > self._heap[0][0]

    def offer(self, backlog: Backlog, name: Name) -> None:
        """Take a name if its backlog is among the largest."""
        if len(self._heap) < self._limit:
            heappush(self._heap, (backlog, name))
        elif self.admits(backlog):
            heappushpop(self._heap, (backlog, name))

    def names(self) -> list[Name]:
        """The names, the largest backlog first."""
        return [name for _, name in sorted(self._heap, reverse=True)]


def _offer_queues(broker: Overview, topic: str, largest: _Largest) -> None:
    """Offer the queues of a topic, none if it is deleted meanwhile."""
    with suppress(TopicNotFound):
        for names in slices(broker.queue_names(topic)):
            for queue, backlog in zip(names, broker.queue_backlogs(topic, names), strict=True):
                largest.offer(backlog, (topic, queue))
