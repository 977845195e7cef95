"""`peerbus subscribe` and `peerbus pull`."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click
from msgspec import UNSET

from peerbus.cli.interrupt import Interruption
from peerbus.cli.options import Seconds, token, token_option
from peerbus.cli.output import lines_of, remark
from peerbus.cli.settings import PEER_ID, TOPIC, Settings, command, complete_topic
from peerbus.errors import NotSubscribed, PeerbusError, PeerMismatch, PeerNotFound
from peerbus.wire.words import counted

if TYPE_CHECKING:
    from peerbus.client import Client, Pulled
    from peerbus.client.client import Start

BATCH = 1000
WAIT_SECONDS = 1.0
"""The wait of each pull while following. Ctrl-C takes effect when it ends, so that no messages are lost."""
LEASE_SECONDS = 60.0
"""Lease of a peer made for one command, and the time for which its queue stands without it if the command is killed."""

MAX = click.option("--max", "most", type=click.IntRange(min=1), help="Maximum of messages to print.")
DETAILS = click.option("--details", is_flag=True, help="Print each message with its offset and its attempt.")


def place(context: click.Context, parameter: click.Parameter, value: str | None) -> str | int | None:
    """A place in a topic: latest, earliest, or an offset as a number."""
    if value in (None, "latest", "earliest"):
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither latest nor earliest nor an offset.", context, parameter)
    return int(value)


@command(
    TOPIC,
    click.option("--follow", is_flag=True, help="Print messages as they are published, until Ctrl-C."),
    click.option(
        "--from",
        "start",
        metavar="[latest|earliest|OFFSET]",
        callback=place,
        help="Begin a new message queue here; peerbus seek moves one that stands.",
    ),
    click.option(
        "--ack", type=click.Choice(["auto", "explicit"]), help="explicit: acknowledge each message after printing it."
    ),
    click.option(
        "--ack-deadline",
        type=Seconds(0.001, 43_200),
        metavar="SECONDS",
        help="With --ack explicit, seconds until a message that is not acknowledged is redelivered.",
    ),
    click.option(
        "--max-attempts",
        type=click.IntRange(min=1),
        help="With --ack explicit, deliveries of a message at most.",
    ),
    click.option(
        "--dead-letter-topic",
        metavar="TOPIC",
        shell_complete=complete_topic,
        help="With --ack explicit, topic for messages that fail their last attempt.",
    ),
    click.option("--group", help="Share the messages with the other peers of this group."),
    click.option(
        "--expires-after",
        type=Seconds(0, 31_622_400),
        metavar="SECONDS",
        help="Seconds for which the message queue stands without members.",
    ),
    click.option(
        "--push-to",
        metavar="URL",
        help="Let the server post the messages to this URL, with ack explicit, and print none.",
    ),
    token_option("--push-secret", "File with the secret that signs pushes."),
    click.option("--push-batch", type=click.IntRange(min=1), help="With --push-to, messages of a request at most."),
    click.option("--push-at-once", type=click.IntRange(min=1), help="With --push-to, requests at once at most."),
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
    push_secret_file: Path | None,
    **options: Any,
) -> None:
    """Subscribe, and print the messages.

    Each message is one line of JSON. Without --follow, the messages that wait now are printed. Without --peer-id, a
    temporary peer is registered and removed afterwards, with its own message queue. The peer of --peer-id, or of a
    peer node, keeps its message queue, and continues there the next time; so does a group.

    A new message queue begins with the oldest message kept; with --follow, with the next one published. With --ack
    explicit a message is acknowledged after it is printed, and redelivered if it could not be printed.

    With --push-to the command ends at once, and the server posts messages to the URL from then on, until peerbus
    unsubscribe.
    """
    named = {name: value for name, value in options.items() if value is not None}
    if options["push_to"] is not None:
        if follow or most or details:
            raise click.UsageError("With --push-to no messages are printed: leave out --follow, --max and --details.")
        if push_secret_file:
            named["push_secret"] = token("PEERBUS_PUSH_SECRET", push_secret_file)
        _subscribe_push(settings, topic, start, peer_id, named)
        return
    if push_secret_file or named.keys() & {"push_batch", "push_at_once"}:
        raise click.UsageError("--push-secret-file, --push-batch and --push-at-once go with --push-to.")
    interruption = Interruption()
    with interruption.armed(), _participant(settings, peer_id) as (client, is_temporary):
        if is_temporary and "group" not in named:
            named.setdefault("expires_after", LEASE_SECONDS)
        begin: Start = start if start is not None else "latest" if follow else "earliest"
        client.subscribe(topic, begin, **named)
        if follow:
            _follow(client, topic, most or sys.maxsize, details, interruption)
        else:
            _print_waiting(client, topic, most or sys.maxsize, details, interruption)


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

    The peer must be subscribed. Each message is one line of JSON. With explicit acknowledgement, settle the messages
    by peerbus ack and nack: --details shows their offsets.
    """
    with settings.client(peer_id) as client:
        _print(client.pull(topic, most or BATCH, wait, raw=True), details)


def _subscribe_push(
    settings: Settings, topic: str, start: Start | None, peer_id: str | None, named: dict[str, Any]
) -> None:
    """Subscribe a peer that stays registered, and whose messages are pushed."""
    with _participant(settings, peer_id) as (client, is_temporary):
        if is_temporary:
            raise click.UsageError("Name the peer whose messages are pushed by --peer-id.")
        client.subscribe(topic, start, **{"ack": "explicit"} | named)
        click.echo(f"New messages of topic '{topic}' are pushed to {named['push_to']}.")


@contextmanager
def _participant(settings: Settings, peer_id: str | None) -> Iterator[tuple[Client, bool]]:
    """A registered client: for this peer, for that of a peer node, or for a temporary peer, unregistered at the end.

    With it comes whether the peer is a temporary one.
    """
    with settings.client(peer_id or f"cli-{uuid4().hex[:12]}") as client:
        try:
            answer = client.register(**{} if peer_id else {"lease_seconds": LEASE_SECONDS})
            temporary = peer_id is None
            if peer_id and answer.token is not UNSET:
                remark(f"Peer '{peer_id}' has a token of its own now; go on with PEERBUS_TOKEN={answer.token}")
        except PeerMismatch:
            if peer_id:
                raise
            client.peer_id = None
            client.register()
            temporary = False
        try:
            yield client, temporary
        finally:
            if temporary:
                with suppress(PeerbusError):  # otherwise it is away when its lease ends
                    client.unregister()


def _print_waiting(client: Client, topic: str, most: int, details: bool, interruption: Interruption) -> None:
    """Print up to `most` messages, but none published after this began."""
    left = most
    while left > 0:
        with interruption.held_back():
            pulled = client.pull(topic, min(BATCH, left), raw=True)
            _print_and_acknowledge(client, pulled, details)
        count = len(pulled.messages)
        left = min(left, count + pulled.remaining) - count if count else 0


def _follow(client: Client, topic: str, most: int, details: bool, interruption: Interruption) -> None:
    """Print up to `most` messages as they come, until Ctrl-C, or until the reader of the output is gone."""
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
            with suppress(PeerbusError):  # otherwise they are redelivered after their deadline
                client.nack(*pulled.messages)
        raise
    if explicit and (stale := client.ack(*pulled.messages).stale):
        remark(f"warning: {counted(len(stale), 'message')} printed too late will be redelivered.")


def _print(pulled: Pulled, details: bool) -> None:
    """Print messages, and warn of missed ones."""
    if pulled.missed:
        remark(f"warning: {counted(pulled.missed, 'message')} lost before they could be pulled.")
    if pulled.messages:
        click.echo(lines_of(pulled.messages, details=details))


def _abandoned() -> bool:
    """Whether the reader of the output is gone."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in reader.poll(0))
