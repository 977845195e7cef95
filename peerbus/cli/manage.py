"""`peerbus create`, `delete`, `cancel`, `seek`, `unsubscribe` and `unregister`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from peerbus.cli.options import Seconds, seconds_of
from peerbus.cli.output import remark
from peerbus.cli.publish import STANDARD_INPUT
from peerbus.cli.settings import PEER_ID, TOPIC, Settings, command
from peerbus.cli.subscribe import place
from peerbus.errors import PeerbusError
from peerbus.wire.words import topics_created

if TYPE_CHECKING:
    from peerbus.wire.protocol import CreateTopicsAnswer

UNKNOWN = 1
"""Exit code if some of the ids to cancel are unknown."""
AT_ONCE = 10_000
"""Topics of standard input that are created in one call."""


@command(
    click.argument("topics", nargs=-1, required=True),
    click.option("--max-messages", type=click.IntRange(min=1), help="Messages that may wait for subscribers."),
    click.option(
        "--overflow",
        type=click.Choice(["reject", "drop_oldest"]),
        help="What a publish to a full topic does: fail, or drop the oldest.",
    ),
    click.option("--max-age", type=Seconds(0.001), metavar="SECONDS", help="Seconds after which a message is dropped."),
    click.option(
        "--history", type=click.IntRange(min=0), help="Messages kept for replay after all subscribers pulled them."
    ),
)
def create(settings: Settings, topics: tuple[str, ...], **options: Any) -> None:
    """Create topics.

    Options left out are the server's defaults. If one of several topics is refused, none is created. A dash alone, -,
    reads the names from standard input, one a line.
    """
    named = {name: value for name, value in options.items() if value is not None}
    with settings.client() as client:
        if topics == STANDARD_INPUT:
            click.echo(_create_lines(partial(client.create_topics, **named), sys.stdin.buffer))
        elif len(topics) == 1:
            click.echo(client.create_topic(topics[0], **named).message)
        else:
            click.echo(client.create_topics(topics, **named).message)


def _create_lines(create_topics: Callable[[list[str]], CreateTopicsAnswer], lines: Iterable[bytes]) -> str:
    """Create the topics named by lines, and return a sentence about all of them."""
    created = existed = 0
    names = (line.strip().decode("utf-8-sig", errors="replace") for line in lines if line.strip())
    try:
        while some := list(islice(names, AT_ONCE)):
            answer = create_topics(some)
            created += answer.created
            existed += len(answer.existed)
    except PeerbusError:
        if created or existed:
            remark(f"{topics_created(created, existed)} Then:")
        raise
    return topics_created(created, existed)


@command(TOPIC)
def delete(settings: Settings, topic: str) -> None:
    """Delete a topic with its messages.

    Subscribers with an address are notified.
    """
    with settings.client() as client:
        click.echo(client.delete_topic(topic).message)


@command(TOPIC, click.argument("ids", nargs=-1, required=True, type=click.IntRange(min=0)), PEER_ID)
def cancel(settings: Settings, topic: str, ids: tuple[int, ...], peer_id: str | None) -> None:
    """Cancel messages that are published later.

    scheduled shows their IDS. The exit code is 1 if some are unknown: published, cancelled before, or never scheduled.
    """
    with settings.client(peer_id) as client:
        answer = client.cancel_scheduled(topic, *ids)
    click.echo(answer.message)
    if answer.unknown:
        click.get_current_context().exit(UNKNOWN)


@command(
    TOPIC,
    click.argument("to", metavar="[latest|earliest|OFFSET]", required=False, callback=place),
    click.option(
        "--time",
        type=seconds_of,
        metavar="TIME",
        help="To the first message published at or after 2030-01-31T18:00, or so many seconds since 1970.",
    ),
    PEER_ID,
)
def seek(settings: Settings, topic: str, to: Any, time: float | None, peer_id: str | None) -> None:
    """Move a peer's message queue forwards or back.

    A group's queue moves for all members. Messages in flight are new again, or passed over.
    """
    if (to is None) == (time is None):
        raise click.UsageError("Name either where to move to, or --time.")
    with settings.client(peer_id) as client:
        click.echo(client.seek(topic, to, time=time).message)


@command(TOPIC, click.option("--group", help="End the message queue of this group, with members or without."), PEER_ID)
def unsubscribe(settings: Settings, topic: str, group: str | None, peer_id: str | None) -> None:
    """End a peer's subscription to a topic.

    A message queue of its own ends with it. That of a group stands; --group ends it for all members.
    """
    with settings.client(peer_id) as client:
        click.echo((client.end_group(topic, group) if group else client.unsubscribe(topic)).message)


@command(
    click.option("--keep", is_flag=True, help="Let the peer's own message queues stand until it comes back."), PEER_ID
)
def unregister(settings: Settings, keep: bool, peer_id: str | None) -> None:
    """Remove a peer with its own message queues."""
    with settings.client(peer_id) as client:
        click.echo(client.unregister(keep=keep).message)
