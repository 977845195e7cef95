"""`peerbus create`, `delete`, `cancel`, `seek`, `unsubscribe` and `unregister`."""

from typing import Any

import click

from peerbus.cli.options import Seconds
from peerbus.cli.settings import PEER_ID, TOPIC, Settings, command
from peerbus.cli.subscribe import place

UNKNOWN = 1
"""Exit code if some of the ids to cancel are unknown."""


@command(
    click.argument("topic"),
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
def create(settings: Settings, topic: str, **options: Any) -> None:
    """Create a topic.

    Options left out are the server's defaults.
    """
    with settings.client() as client:
        named = {name: value for name, value in options.items() if value is not None}
        click.echo(client.create_topic(topic, **named).message)


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


@command(TOPIC, click.argument("to", metavar="latest|earliest|OFFSET", callback=place), PEER_ID)
def seek(settings: Settings, topic: str, to: Any, peer_id: str | None) -> None:
    """Move a peer's message queue forwards or back.

    A group's queue moves for all members. Messages in flight are new again, or passed over.
    """
    with settings.client(peer_id) as client:
        click.echo(client.seek(topic, to).message)


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
