"""One frame of `peerbus top`: what to show of two looks at the server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from peerbus.cli.output import period, size, table
from peerbus.wire.views import PeerView, Stats, TopicView
from peerbus.wire.words import counted

if TYPE_CHECKING:
    from peerbus.client import Client

NAME_WIDTH = 32
MOST_PEERS = 200
PEERS_SHARE = 3
"""Of so many rows one is for peers, however many topics there are."""
FIGURES = ("published", "pulled", "acknowledged", "redelivered", "missed", "dead_lettered")
SHORTEST_SECONDS = 0.001


class Look(NamedTuple):
    """What the server holds, and when it was asked, in seconds of a monotonic clock."""

    at: float
    stats: Stats
    topics: list[TopicView]
    peers: list[PeerView]


def look(client: Client) -> Look:
    """Ask a server for its figures, all its topics, and as many of its peers as could be shown."""
    stats = client.stats().stats
    return Look(time.monotonic(), stats, list(client.every_topic()), client.peers(limit=MOST_PEERS).peers)


def frame(url: str, before: Look | None, now: Look, width: int, height: int) -> list[str]:
    """The lines of a frame: no more than `height`, none longer than `width`.

    Rates are since the look `before`, where that saw the same life of the server. The busiest topics come first,
    then those with most left to do.
    """
    if before and before.stats.epoch != now.stats.epoch:
        before = None
    head = [*_summary(url, now.stats), "", *_figures(before, now), ""]
    room = height - len(head) - len(("topic headings", "", "peer headings"))
    peer_rows = min(now.stats.peers, max(room // PEERS_SHARE, room - len(now.topics)))
    topics = _listing(
        ("TOPIC", "PER SECOND", "UNREAD", "DROPPED", "SUBSCRIBERS"), _topics(before, now), room - peer_rows
    )
    peers = _listing(("PEER", "EXPIRES IN", "TOPICS", "ADDRESS"), _peers(now), peer_rows, now.stats.peers)
    return [line[:width] for line in [*head, *topics, "", *peers][:height]]


def _summary(url: str, stats: Stats) -> list[str]:
    held = ", ".join(
        (
            counted(stats.peers, "peer"),
            counted(stats.topics, "topic"),
            counted(stats.subscriptions, "subscription"),
            counted(stats.waiting_pulls, "waiting pull"),
            f"{size(stats.memory_bytes)} in memory",
        )
    )
    return [f"peerbus at {url}, up {period(stats.uptime_seconds)}", held]


def _figures(before: Look | None, now: Look) -> list[str]:
    rates: list[Any] = ["a second"]
    totals: list[Any] = ["in all"]
    for name in FIGURES:
        total = getattr(now.stats, name)
        totals.append(total)
        rates.append(_rate(before, now, getattr(before.stats, name) if before else 0, total))
    return table(["", *(name.replace("_", "-").upper() for name in FIGURES)], [rates, totals])


def _topics(before: Look | None, now: Look) -> list[Sequence[Any]]:
    offsets = {topic.topic: topic.next_offset for topic in before.topics} if before else {}
    rows = []
    for topic in now.topics:
        rate = _rate(before, now, offsets.get(topic.topic, 0), topic.next_offset)
        rows.append((topic.topic[:NAME_WIDTH], rate, topic.unread, topic.dropped, topic.subscribers))
    return sorted(rows, key=lambda row: (-(row[1] or 0.0), -row[2]))


def _peers(now: Look) -> list[Sequence[Any]]:
    return [(peer.peer_id[:NAME_WIDTH], peer.expires_in, len(peer.topics), peer.address or "-") for peer in now.peers]


def _listing(headings: Sequence[str], rows: list[Sequence[Any]], room: int, total: int | None = None) -> list[str]:
    """A table of as many of the `total` rows as there is room for, and of how many there are besides."""
    total = len(rows) if total is None else total
    shown = rows[:room] if total <= room else rows[: max(0, room - 1)]
    more = [f"... and {total - len(shown)} more"] if total > len(shown) else []
    return table(headings, shown) + more


def _rate(before: Look | None, now: Look, earlier: int, count: int) -> float | None:
    """What was counted since, a second; a count that fell began anew."""
    if before is None:
        return None
    return (count - earlier if count >= earlier else count) / max(SHORTEST_SECONDS, now.at - before.at)
