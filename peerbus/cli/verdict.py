"""The state of a server in a sentence, with the reasons: the same words as on its page (`pages/verdict.js`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from peerbus.cli.output import period, size
from peerbus.wire.views import Stats, TopicView

LATELY_SECONDS = 60.0
NEARLY_FULL = 0.9
FULL_SOON = 0.8
OLD_SECONDS = 3600.0
MOST_TOPICS = 3

VERDICTS = {"good": "All is well.", "warn": "Worth a look.", "bad": "Something is wrong."}
LATELY = {
    "refused": ("bad", "Publishes were refused in the last minute because there was no room."),
    "missed": ("bad", "Messages were lost in the last minute before subscribers pulled them."),
    "discarded": ("bad", "Messages were discarded in the last minute with queues that ended."),
    "expired_queues": ("warn", "Queues expired in the last minute because no member came back."),
    "forgotten_ids": ("warn", "Message ids were forgotten early in the last minute, because memory is full."),
    "overdue": ("warn", "Messages were not acknowledged before their deadline in the last minute."),
    "dead_lettered": ("warn", "Messages became dead letters in the last minute."),
}
"""By figure: a tone and a sentence, if the figure grew."""
FULL = {
    "reject": "Topic {} is full and refuses publishes.",
    "drop_oldest": "Topic {} is full and drops the oldest messages.",
}
FULL_ONCE = {
    "reject": "Topic {} is {} full; once full, it refuses publishes.",
    "drop_oldest": "Topic {} is {} full; once full, it drops the oldest messages.",
}
"""By overflow policy."""
OLD = "Topic {} has an unread message that is {} old."
WAITING = "Scheduled messages are overdue because there is no room for them: {}."
LIMIT = "{}: {} full, {} of {}."
LIMITS = {
    "memory_bytes": ("Memory for messages", "max_bytes"),
    "topics": ("Topics", "max_topics"),
    "peers": ("Peers", "max_peers"),
    "subscriptions": ("Subscriptions", "max_subscriptions"),
    "scheduled": ("Scheduled messages", "max_scheduled"),
}


class Reason(NamedTuple):
    """A sentence on what is wrong (`bad`) or may become so (`warn`)."""

    tone: str
    sentence: str


class Verdict(NamedTuple):
    """A sentence on the whole server, and its reasons, the bad ones first."""

    sentence: str
    reasons: list[Reason]


class Recent:
    """The figures of a server in the last minute."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, Stats]] = deque()

    def note(self, at: float, stats: Stats) -> None:
        """Note the figures at a time in seconds; a server that lost its state begins anew."""
        if self._noted and self._noted[-1][1].epoch != stats.epoch:
            self._noted.clear()
        self._noted.append((at, stats))
        while self._noted[0][0] < at - LATELY_SECONDS:
            self._noted.popleft()

    def grown(self, figure: str) -> int:
        """The growth of a total; one that fell began again at zero."""
        counts = (getattr(stats, figure) for _, stats in self._noted)
        return sum(later - earlier if later >= earlier else later for earlier, later in pairwise(counts))


def judge(stats: Stats, topics: Sequence[TopicView], recent: Recent) -> Verdict:
    """The state of a server, by its figures now and in the last minute."""
    reasons = [*_of_server(stats), *_of_topics(topics), *_of_old(topics), *_lately(recent)]
    reasons.sort(key=lambda reason: reason.tone != "bad")
    return Verdict(VERDICTS[reasons[0].tone if reasons else "good"], reasons)


def _of_server(stats: Stats) -> Iterator[Reason]:
    if stats.scheduled_waiting:
        yield Reason("bad", WAITING.format(stats.scheduled_waiting))
    for figure, (label, most) in LIMITS.items():
        used, limit = getattr(stats, figure), getattr(stats, most)
        if limit and used >= NEARLY_FULL * limit:
            form = size if figure.endswith("bytes") else str
            sentence = LIMIT.format(label, _percent(used / limit), form(used), form(limit))
            yield Reason("bad" if used >= limit else "warn", sentence)


def _of_topics(topics: Sequence[TopicView]) -> Iterator[Reason]:
    filling = [topic for topic in topics if _fullness(topic) >= FULL_SOON]
    for topic in sorted(filling, key=_fullness, reverse=True)[:MOST_TOPICS]:
        if _fullness(topic) < 1:
            yield Reason("warn", FULL_ONCE[topic.overflow].format(topic.topic, _percent(_fullness(topic))))
        else:
            tone = "bad" if topic.overflow == "reject" else "warn"
            yield Reason(tone, FULL[topic.overflow].format(topic.topic))


def _of_old(topics: Sequence[TopicView]) -> Iterator[Reason]:
    ages = [(topic.oldest_unread_seconds or 0.0, topic.topic) for topic in topics]
    old = [(age, name) for age, name in ages if age >= OLD_SECONDS]
    for age, name in sorted(old, reverse=True)[:MOST_TOPICS]:
        yield Reason("warn", OLD.format(name, period(age)))


def _lately(recent: Recent) -> Iterator[Reason]:
    for figure, (tone, sentence) in LATELY.items():
        if recent.grown(figure):
            yield Reason(tone, sentence)


def _fullness(topic: TopicView) -> float:
    """A share of 1; messages that are published later count, too."""
    return (topic.unread + topic.scheduled) / topic.max_messages


def _percent(share: float) -> str:
    """A share of 1; 100 % only if the share is at least 1."""
    return f"{round(share * 100) if share >= 1 else min(99, round(share * 100))} %"
