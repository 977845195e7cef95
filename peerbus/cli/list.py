"""`peerbus topics`, `subscriptions`, `in-flight`, `scheduled`, `peers`, `query`, `stats`: tables, or JSON."""

import time
from collections.abc import Callable
from typing import Any

import click
import msgspec

from peerbus.cli.output import moment, period, period_or_none, show_json, show_table, size
from peerbus.cli.settings import AS_JSON, PEER_ID, TOPIC, Settings, command

UNITS: dict[str, Callable[[float], str]] = {"bytes": size, "seconds": period}


@command(AS_JSON)
def topics(settings: Settings, as_json: bool) -> None:
    """List the topics.

    UNREAD counts the messages that some subscriber has not pulled, or not acknowledged, yet. LOST counts those
    that were dropped or that subscribers missed, whichever are more, and those discarded with queues that ended.
    """
    with settings.client() as client:
        found = client.every_topic()
        if as_json:
            show_json(found)
        else:
            show_table(
                ("TOPIC", "PUBLISHED", "UNREAD", "LOST", "SUBSCRIBERS", "LIMIT", "OVERFLOW"),
                ((t.topic, t.next_offset, t.unread, t.lost, t.subscribers, t.max_messages, t.overflow) for t in found),
            )


@command(TOPIC, AS_JSON)
def subscriptions(settings: Settings, topic: str, as_json: bool) -> None:
    """List the message queues of a topic.

    IDLE is the time since a member last made a call about a queue. A queue without members EXPIRES IN so much time,
    unless one comes back.
    """
    with settings.client() as client:
        found = client.every_queue(topic)
        if as_json:
            show_json(found)
        else:
            rows = (
                (
                    *(q.queue, q.members, q.ack, q.unread, q.unacknowledged),
                    *(period(q.idle_seconds), period_or_none(q.expires_in)),
                )
                for q in found
            )
            show_table(("QUEUE", "MEMBERS", "ACK", "UNREAD", "IN FLIGHT", "IDLE", "EXPIRES IN"), rows)


@command(
    TOPIC,
    click.option("--group", help="The group whose message queue is shown, instead of that of a peer."),
    click.option("--after", type=click.IntRange(min=0), metavar="OFFSET", help="Begin after this offset."),
    PEER_ID,
    AS_JSON,
)
def in_flight(
    settings: Settings, topic: str, group: str | None, after: int | None, peer_id: str | None, as_json: bool
) -> None:
    """List the messages in flight in a queue.

    HOLDER has a message since SINCE seconds. It is redelivered in DUE seconds, or waits for that already. Up to 1,000
    messages are listed.
    """
    named = {"group": group, "peer_id": peer_id, "after": after}
    with settings.client() as client:
        found = client.in_flight(topic, **{name: value for name, value in named.items() if value is not None}).in_flight
    if as_json:
        show_json(found)
    else:
        now = time.time()
        rows = (
            (each.offset, each.holder, each.attempt, each.since and now - each.since, each.due and each.due - now)
            for each in found
        )
        show_table(("OFFSET", "HOLDER", "ATTEMPT", "SINCE", "DUE"), rows)


@command(AS_JSON)
def peers(settings: Settings, as_json: bool) -> None:
    """List the peers.

    A lease EXPIRES IN so many seconds, unless its peer makes a call.
    """
    with settings.client() as client:
        found = client.every_peer()
        if as_json:
            show_json(found)
        else:
            rows = (
                (peer.peer_id, period_or_none(peer.expires_in), peer.address or "-", ", ".join(peer.topics))
                for peer in found
            )
            show_table(("PEER", "EXPIRES IN", "ADDRESS", "TOPICS"), rows)


@command(TOPIC, AS_JSON)
def query(settings: Settings, topic: str, as_json: bool) -> None:
    """List the subscribers of a topic."""
    with settings.client() as client:
        answer = client.query_peers(topic)
        found = [(peer, answer.addresses.get(peer)) for peer in answer.peers]
        if as_json:
            show_json({"peer_id": peer, "address": address} for peer, address in found)
        else:
            show_table(("PEER", "ADDRESS"), ((peer, address or "-") for peer, address in found))


@command(TOPIC, AS_JSON)
def scheduled(settings: Settings, topic: str, as_json: bool) -> None:
    """List messages that are published later.

    AT is when they will be published, in this time zone. cancel takes the ID. PROBLEM says why those that are due are
    not published.
    """
    with settings.client() as client:
        found = client.every_scheduled(topic)
        if as_json:
            show_json(found)
        else:
            rows = ((s.id, moment(s.at), s.count, s.bytes, s.peer_id, s.message_id, s.problem) for s in found)
            show_table(("ID", "AT", "MESSAGES", "BYTES", "PEER", "MESSAGE ID", "PROBLEM"), rows)


@command(AS_JSON)
def stats(settings: Settings, as_json: bool) -> None:
    """Show totals and current figures."""
    with settings.client() as client:
        figures = client.stats().stats
        if as_json:
            show_json([figures])
        else:
            show_table(("FIGURE", "VALUE"), (_figure(*each) for each in msgspec.structs.asdict(figures).items()))


def _figure(name: str, value: Any) -> tuple[str, str]:
    """A figure with its name; the end of the name may be its unit."""
    stem, _, unit = name.rpartition("_")
    if unit in UNITS:
        name, value = stem, UNITS[unit](value)
    return name.replace("_", " "), str(value)
