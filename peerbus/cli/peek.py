"""`peerbus peek`: messages are shown and stay where they are."""

from __future__ import annotations

from typing import Any

import click

from peerbus.cli.output import lines_of
from peerbus.cli.settings import TOPIC, Settings, command

PAGE = 1000


@command(
    TOPIC,
    click.option(
        "--from",
        "start",
        type=click.IntRange(min=0),
        metavar="OFFSET",
        help="Begin here instead of with the last ones.",
    ),
    click.option(
        "--max",
        "most",
        type=click.IntRange(1, PAGE),
        default=20,
        show_default=True,
        help="Maximum of messages.",
    ),
    click.option("--details", is_flag=True, help="Print each message with its offset, its publisher and its time."),
)
def peek(settings: Settings, topic: str, start: int | None, most: int, details: bool) -> None:
    """Print messages without taking them.

    Each message is one line of JSON. Without --from, the last messages are printed. At most 1 MiB is printed at once.
    """
    from peerbus.client.messages import messages_in  # loads requests, which --help does not need

    bounds: dict[str, Any] = {"limit": most}
    with settings.client() as client:
        answer = client.peek(topic, start, details=details, **bounds)
    if messages := messages_in(answer, topic, raw=True):
        click.echo(lines_of(messages, details=details))
