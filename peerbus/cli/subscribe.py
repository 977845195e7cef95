"""`peerbus subscribe` and `peerbus pull`."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click
from msgspec import UNSET

from peerbus.cli.interrupt import Interruption
from peerbus.cli.options import Seconds
from peerbus.cli.output import lines_of, remark
from peerbus.cli.settings import PEER_ID, TOPIC, Settings, command, complete_topic
from peerbus.errors import NotSubscribed, PeerbusError, PeerMismatch, PeerNotFound
from peerbus.wire.words import counted

if TYPE_CHECKING:
    from peerbus.client import Client, Pulled

BATCH = 1000
WAIT_SECONDS = 1.0
"""How long a pull waits while following: Ctrl-C lets it end, so that no message is on its way to nobody."""
LEASE_SECONDS = 60.0
"""Lease of a peer that is there for one command: it is removed even when the command is killed."""

MAX = click.option("--max", "most", type=click.IntRange(min=1), help="Messages to print, at most.")
DETAILS = click.option("--details", is_flag=True, help="Print each message with its offset and attempt.")


def _start(context: click.Context, parameter: click.Parameter, value: str | None) -> str | int | None:
    """Where a message queue begins: a word, or an offset as a number."""
    if value in (None, "latest", "earliest"):
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither latest nor earliest nor an offset.", context, parameter)
    return int(value)


@command(
    TOPIC,
    click.option("--follow", is_flag=True, help="Go on with messages as they are published, until Ctrl-C."),
    click.option(
        "--from",
        "start",
        metavar="[latest|earliest|OFFSET]",
        callback=_start,
        help="Begin here, even where the peer is subscribed already.",
    ),
    click.option("--ack", type=click.Choice(["auto", "explicit"]), help="explicit: acknowledge what is printed."),
    click.option(
        "--ack-deadline",
        type=Seconds(0.001, 43_200),
        metavar="SECONDS",
        help="With --ack explicit, seconds until a message that is not acknowledged comes again.",
    ),
    click.option(
        "--max-attempts",
        type=click.IntRange(min=1),
        help="With --ack explicit, how often a message is handed over at most.",
    ),
    click.option(
        "--dead-letter-topic",
        metavar="TOPIC",
        shell_complete=complete_topic,
        help="With --ack explicit, where a message goes after its last attempt.",
    ),
    click.option("--group", help="Share the messages with the other peers of this group."),
    MAX,
    DETAILS,
    PEER_ID,
)
def subscribe(
    settings: Settings,
    topic: str,
    follow: bool,
    start: Any,
    most: int | None,
    details: bool,
    peer_id: str | None,
    **options: Any,
) -> None:
    """Subscribe, and print the messages.

    Each is one line of JSON. What is there is printed, and with --follow what comes. Without --peer-id a peer is
    made up, and is gone with its subscription afterwards. A peer that is named keeps its subscription, and so does
    the one of a peer node: it goes on where it stood the next time.

    A new subscription begins with the oldest message there still is; with --follow with the next one that is
    published. With --ack explicit a message is acknowledged when it is printed, and handed over again if it could
    not be.
    """
    named = {name: value for name, value in options.items() if value is not None}
    interruption = Interruption()
    with interruption.armed(), _participant(settings, peer_id) as client:
        if start is None:
            client.join(topic, None if follow else "earliest", **named)
        else:
            client.subscribe(topic, start, **named)
        if follow:
            _follow(client, topic, most or sys.maxsize, details, interruption)
        else:
            _print_what_is_there(client, topic, most or sys.maxsize, details, interruption)


@command(
    TOPIC,
    MAX,
    click.option(
        "--wait", type=Seconds(0), default=0.0, metavar="SECONDS", help="Seconds to wait for the first message."
    ),
    DETAILS,
    PEER_ID,
)
def pull(settings: Settings, topic: str, most: int | None, wait: float, details: bool, peer_id: str | None) -> None:
    """Pull once, and print the messages.

    This is for a subscription that exists. Each message is one line of JSON. What has to be acknowledged is left to
    peerbus ack and nack: --details shows the offsets.
    """
    with settings.client(peer_id) as client:
        _print(client.pull(topic, most or BATCH, wait, raw=True), details)


@contextmanager
def _participant(settings: Settings, peer_id: str | None) -> Iterator[Client]:
    """A client that is registered: as this peer, as a peer node's own, or else as one that is gone afterwards."""
    with settings.client(peer_id or f"cli-{uuid4().hex[:12]}") as client:
        try:
            answer = client.register(**{} if peer_id else {"lease_seconds": LEASE_SECONDS})
            passing = peer_id is None
            if peer_id and answer.token is not UNSET:
                remark(f"Peer '{peer_id}' has a token of its own now; go on with PEERBUS_TOKEN={answer.token}")
        except PeerMismatch:
            if peer_id:
                raise
            client.peer_id = None
            client.register()
            passing = False
        try:
            yield client
        finally:
            if passing:
                with suppress(PeerbusError):  # its lease does the same, later
                    client.unregister()


def _print_what_is_there(client: Client, topic: str, most: int, details: bool, interruption: Interruption) -> None:
    """Print up to `most` messages, and no more than there are when it begins, however fast others publish."""
    left = most
    while left > 0:
        with interruption.held_back():
            pulled = client.pull(topic, min(BATCH, left), raw=True)
            _print_and_acknowledge(client, pulled, details)
        count = len(pulled.messages)
        left = min(left, count + pulled.remaining) - count if count else 0


def _follow(client: Client, topic: str, most: int, details: bool, interruption: Interruption) -> None:
    """Print what comes, up to `most` messages, until Ctrl-C or nobody reads it; a lost subscription is made again."""
    left = most
    with suppress(KeyboardInterrupt):
        if sys.stderr.isatty():
            remark(f"Following topic '{topic}' as peer '{client.peer_id}'. Ctrl-C ends.")
        while left > 0 and not _abandoned():
            try:
                with interruption.held_back():
                    pulled = client.pull(topic, min(BATCH, left), WAIT_SECONDS, repeat=True, raw=True)
                    left -= len(pulled.messages)
                    _print_and_acknowledge(client, pulled, details)
            except (PeerNotFound, NotSubscribed):
                client.rejoin(topic)


def _print_and_acknowledge(client: Client, pulled: Pulled, details: bool) -> None:
    explicit = bool(pulled.messages) and pulled.messages[0].attempt is not None
    try:
        _print(pulled, details)
    except OSError:
        if explicit:
            with suppress(PeerbusError):  # their deadline does the same, later
                client.nack(*pulled.messages)
        raise
    if explicit and (stale := client.ack(*pulled.messages).stale):
        remark(f"warning: {counted(len(stale), 'message')} printed too late will be handed over again.")


def _print(pulled: Pulled, details: bool) -> None:
    """Print messages and flush them."""
    if pulled.missed:
        remark(f"warning: {counted(pulled.missed, 'message')} lost before they could be pulled.")
    if pulled.messages:
        click.echo(lines_of(pulled.messages, details=details))


def _abandoned() -> bool:
    """Whether nobody reads any more what is printed."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in reader.poll(0))
