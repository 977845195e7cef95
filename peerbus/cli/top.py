"""`peerbus top`: a live view."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from peerbus.cli.interrupt import Interruption
from peerbus.cli.options import Seconds
from peerbus.cli.output import period, period_or_none, size, table
from peerbus.cli.settings import Settings, command
from peerbus.cli.verdict import Recent, judge
from peerbus.errors import PeerbusError
from peerbus.wire.views import PeerView, Stats, TopicView
from peerbus.wire.words import counted

if TYPE_CHECKING:
    from peerbus.client import Client

NO_KEY = -1
NAME_WIDTH = 32
MOST_PEERS = 200
PEERS_SHARE = 3
"""One row of so many is for peers, however many topics there are."""
REASONS_SHARE = 4
"""One line of so many is for the reasons of the verdict."""
FIGURES = {
    "published": "PUBLISHED",
    "pulled": "PULLED",
    "acknowledged": "ACKED",
    "redelivered": "REDELIVERED",
    "dead_lettered": "DEAD-LETTERED",
    "lost": "LOST",
    "refused": "REFUSED",
}
"""The heading of each figure."""
SHORTEST_SECONDS = 0.001


@command(
    click.option(
        "--interval",
        type=Seconds(0.1, 3_600),
        default=1.0,
        metavar="SECONDS",
        show_default=True,
        help="Seconds between two frames.",
    ),
    click.option("--once", is_flag=True, help="Print one frame, with the rates of one interval."),
)
def top(settings: Settings, interval: float, once: bool) -> None:
    """Watch topics and peers live.

    LOST counts messages that subscribers missed and those discarded with queues that ended; of a topic, those dropped
    or missed, whichever are more, and those discarded. The state of the server comes first, with the reasons. Topics
    with the highest rate come first, then those with most unread messages. q or Ctrl-C ends it.
    """
    with settings.client() as client:
        if once:
            recent = Recent()
            before = snapshot(client, recent)
            threading.Event().wait(interval)
            now = snapshot(client, recent)
            click.echo("\n".join(frame(settings.url, before, now, recent, *shutil.get_terminal_size())))
        elif not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise click.UsageError("top needs a terminal; with --once it prints one frame anywhere.")
        else:
            with suppress(KeyboardInterrupt), Interruption().armed():
                _watch(client, settings.url, interval)


def _watch(client: Client, url: str, interval: float) -> None:
    """Draw frames on the whole terminal until q is pressed."""
    try:
        import curses
    except ImportError:
        raise click.UsageError("This Python has no curses; --once prints one frame.") from None
    recent = Recent()
    first = snapshot(client, recent)

    def draw(window: Any) -> None:
        before, now, problem = None, first, ""
        with suppress(curses.error):  # not every terminal supports these
            curses.use_default_colors()
            curses.curs_set(0)
        window.timeout(int(interval * 1000))
        while True:
            height, width = window.getmaxyx()
            lines = frame(url, before, now, recent, width - 1, height)
            window.erase()
            for y, line in enumerate([problem[: width - 1], *lines[1:]] if problem else lines):
                with suppress(curses.error):  # the window has become smaller since
                    window.addstr(y, 0, line)
            key = window.getch()
            if key == ord("q"):
                return
            if key == NO_KEY:
                try:
                    before, now, problem = now, snapshot(client, recent), ""
                except PeerbusError as error:
                    problem = error.message

    try:
        curses.wrapper(draw)
    except curses.error as error:
        raise click.UsageError(f"This terminal cannot be drawn on ({error}); --once prints one frame.") from None


class Snapshot(NamedTuple):
    """The state of a server, taken `at` a time in seconds of a monotonic clock."""

    at: float
    stats: Stats
    topics: list[TopicView]
    peers: list[PeerView]


def snapshot(client: Client, recent: Recent) -> Snapshot:
    """Fetch the server's figures, all its topics, and as many peers as may fit on a screen; note the figures."""
    stats = client.stats().stats
    at = time.monotonic()
    recent.note(at, stats)
    return Snapshot(at, stats, list(client.every_topic()), client.peers(limit=MOST_PEERS).peers)


def frame(url: str, before: Snapshot | None, now: Snapshot, recent: Recent, width: int, height: int) -> list[str]:
    """The lines of a frame: `height` at most, none longer than `width`.

    `recent` has the figures of the last minute. Rates are since the snapshot `before`; there are none if the server has
    restarted without its state since. Topics with the highest rate come first, then those with most unread messages.
    """
    if before and before.stats.epoch != now.stats.epoch:
        before = None
    verdict = judge(now.stats, now.topics, recent)
    reasons = [f"- {reason.sentence}" for reason in verdict.reasons[: height // REASONS_SHARE]]
    head = [*_summary(url, now.stats), verdict.sentence, *reasons, "", *_figures(before, now), ""]
    room = height - len(head) - len(("topic headings", "", "peer headings"))
    peer_rows = min(now.stats.peers, max(room // PEERS_SHARE, room - len(now.topics)))
    topics = _listing(("TOPIC", "PER SECOND", "UNREAD", "LOST", "SUBSCRIBERS"), _topics(before, now), room - peer_rows)
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


def _figures(before: Snapshot | None, now: Snapshot) -> list[str]:
    rates: list[Any] = ["a second"]
    totals: list[Any] = ["in all"]
    for name in FIGURES:
        total = getattr(now.stats, name)
        totals.append(total)
        rates.append(_rate(before, now, getattr(before.stats, name) if before else 0, total))
    return table(["", *FIGURES.values()], [rates, totals])


def _topics(before: Snapshot | None, now: Snapshot) -> list[Sequence[Any]]:
    offsets = {topic.topic: topic.next_offset for topic in before.topics} if before else {}
    rows = []
    for topic in now.topics:
        rate = _rate(before, now, offsets.get(topic.topic, 0), topic.next_offset)
        rows.append((topic.topic[:NAME_WIDTH], rate, topic.unread, topic.lost, topic.subscribers))
    return sorted(rows, key=lambda row: (-(row[1] or 0.0), -row[2]))


def _peers(now: Snapshot) -> list[Sequence[Any]]:
    return [
        (peer.peer_id[:NAME_WIDTH], period_or_none(peer.expires_in), len(peer.topics), peer.address or "-")
        for peer in now.peers
    ]


def _listing(headings: Sequence[str], rows: list[Sequence[Any]], room: int, total: int | None = None) -> list[str]:
    """A table of as many rows as there is `room` for, with the number of the others, of `total` in all."""
    total = len(rows) if total is None else total
    shown = rows[:room] if total <= room else rows[: max(0, room - 1)]
    more = [f"... and {total - len(shown)} more"] if total > len(shown) else []
    return table(headings, shown) + more


def _rate(before: Snapshot | None, now: Snapshot, earlier: int, count: int) -> float | None:
    """The growth of a count since `before`, per second; a count that fell began again at zero."""
    if before is None:
        return None
    return (count - earlier if count >= earlier else count) / max(SHORTEST_SECONDS, now.at - before.at)
