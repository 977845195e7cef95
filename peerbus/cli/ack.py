"""`peerbus ack`, `nack`, `extend` and `redrive`: messages in flight, and dead letters, are dealt with."""

from collections.abc import Sequence

import click

from peerbus.cli.options import Seconds
from peerbus.cli.settings import PEER_ID, TOPIC, Settings, command

STALE = 1
"""Exit code if some of the messages are not, or no longer, in flight to the peer."""
OFFSETS = click.argument("offsets", nargs=-1, type=click.IntRange(min=0))
UP_TO = click.option(
    "--up-to", type=click.IntRange(min=0), help="All messages in flight to the peer, up to this offset."
)


def _check(offsets: tuple[int, ...], up_to: int | None) -> None:
    if bool(offsets) == (up_to is not None):
        raise click.UsageError("Name either OFFSETS or --up-to.")


def _report(sentence: str, stale: Sequence[int]) -> None:
    """Print the answer, and exit with `STALE` if some of the messages are stale."""
    click.echo(sentence)
    if stale:
        click.get_current_context().exit(STALE)


@command(
    TOPIC,
    OFFSETS,
    click.option("--all", "everything", is_flag=True, help="All dead letters that are not acknowledged."),
    click.option("--to", metavar="TOPIC", help="Publish there; by default where each message came from."),
    PEER_ID,
)
def redrive(
    settings: Settings,
    topic: str,
    offsets: tuple[int, ...],
    everything: bool,
    to: str | None,
    peer_id: str | None,
) -> None:
    """Publish the messages of dead letters again.

    The letters are acknowledged. The exit code is 1 if some are stale, or could not be published and stay.
    """
    if bool(offsets) == everything:
        raise click.UsageError("Name either OFFSETS or --all.")
    with settings.client(peer_id) as client:
        answer = client.redrive(topic, *offsets, to=to)
    _report(answer.message, [*answer.stale, *answer.failed])


@command(TOPIC, OFFSETS, UP_TO, PEER_ID)
def ack(settings: Settings, topic: str, offsets: tuple[int, ...], up_to: int | None, peer_id: str | None) -> None:
    """Acknowledge messages that were pulled.

    They are settled for good. pull --details shows their offsets. The exit code is 1 if some are stale: settled
    before, redelivered since, or never delivered.
    """
    _check(offsets, up_to)
    with settings.client(peer_id) as client:
        answer = client.ack_offsets(topic, *offsets, up_to=up_to)
    _report(answer.message, answer.stale)


@command(
    TOPIC,
    OFFSETS,
    UP_TO,
    click.option(
        "--delay", type=Seconds(0), default=0.0, metavar="SECONDS", help="Seconds until they are redelivered."
    ),
    click.option(
        "--untouched", is_flag=True, help="Hand them back untouched: this delivery does not count as an attempt."
    ),
    PEER_ID,
)
def nack(
    settings: Settings,
    topic: str,
    offsets: tuple[int, ...],
    up_to: int | None,
    delay: float,
    untouched: bool,
    peer_id: str | None,
) -> None:
    """Reject messages that were pulled.

    They are redelivered. pull --details shows their offsets. The exit code is 1 if some are stale: settled before,
    redelivered since, or never delivered.
    """
    _check(offsets, up_to)
    with settings.client(peer_id) as client:
        answer = client.nack_offsets(topic, *offsets, up_to=up_to, delay=delay, attempted=not untouched)
    _report(answer.message, answer.stale)


@command(
    TOPIC,
    OFFSETS,
    UP_TO,
    click.option(
        "--seconds",
        type=Seconds(0.001),
        required=True,
        metavar="SECONDS",
        help="Seconds from now in which they must be acknowledged.",
    ),
    PEER_ID,
)
def extend(
    settings: Settings, topic: str, offsets: tuple[int, ...], up_to: int | None, seconds: float, peer_id: str | None
) -> None:
    """Extend the deadline of pulled messages.

    For work that takes longer than the subscription's --ack-deadline. pull --details shows their offsets. The exit
    code is 1 if some are stale: settled before, redelivered since, or never delivered.
    """
    _check(offsets, up_to)
    with settings.client(peer_id) as client:
        answer = client.extend_offsets(topic, *offsets, up_to=up_to, seconds=seconds)
    _report(answer.message, answer.stale)
