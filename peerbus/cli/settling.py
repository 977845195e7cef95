"""`peerbus ack` and `peerbus nack`: what becomes of messages that were pulled."""

import click

from peerbus.cli.settings import PEER_ID, TOPIC, Settings, command
from peerbus.seconds import Seconds

OFFSETS = click.argument("offsets", nargs=-1, type=click.IntRange(min=0))
UP_TO = click.option("--up-to", type=click.IntRange(min=0), help="All in the peer's hands up to this offset.")


def _check(offsets: tuple[int, ...], up_to: int | None) -> None:
    if bool(offsets) == (up_to is not None):
        raise click.UsageError("Name either OFFSETS or --up-to.")


@command(TOPIC, OFFSETS, UP_TO, PEER_ID)
def ack(settings: Settings, topic: str, offsets: tuple[int, ...], up_to: int | None, peer_id: str | None) -> None:
    """Acknowledge messages that were pulled.

    They are settled for good. pull --details shows their offsets.
    """
    _check(offsets, up_to)
    with settings.client(peer_id) as client:
        click.echo(client.ack_offsets(topic, *offsets, up_to=up_to).message)


@command(
    TOPIC,
    OFFSETS,
    UP_TO,
    click.option(
        "--delay", type=Seconds(0), default=0.0, metavar="SECONDS", help="Seconds until they are handed over again."
    ),
    PEER_ID,
)
def nack(
    settings: Settings, topic: str, offsets: tuple[int, ...], up_to: int | None, delay: float, peer_id: str | None
) -> None:
    """Reject messages that were pulled.

    They are handed over again. pull --details shows their offsets.
    """
    _check(offsets, up_to)
    with settings.client(peer_id) as client:
        click.echo(client.nack_offsets(topic, *offsets, up_to=up_to, delay=delay).message)
