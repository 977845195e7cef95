"""`peerbus publish`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
import msgspec

from peerbus.cli.output import remark
from peerbus.cli.settings import PEER_ID, TOPIC, Settings, command
from peerbus.errors import PeerbusError
from peerbus.wire.words import counted

if TYPE_CHECKING:
    from peerbus.client import Client

STANDARD_INPUT = ("-",)
CHUNK = 1 << 20
"""Bytes read at once, and so published at once, at most: far below what a body may have."""
BATCH = 10_000
"""Messages published at once, at most."""


@command(
    TOPIC,
    click.argument("messages", nargs=-1, required=True),
    click.option("--json", "as_json", is_flag=True, help="Each message is JSON, to be published as it is."),
    click.option("--message-id", help="Publish only if nothing was published under this id yet."),
    PEER_ID,
)
def publish(
    settings: Settings,
    topic: str,
    messages: tuple[str, ...],
    as_json: bool,
    message_id: str | None,
    peer_id: str | None,
) -> None:
    """Publish messages to a topic.

    All of them are published, or none. Each is a string, whatever it looks like: 42 is published as "42". With
    --json each is JSON, published as it is; if one is not JSON, that is an error. A message that begins with a dash
    goes after --.

    A dash alone, -, reads standard input instead: each line is a message, published as it comes, together with
    what else is there by then.
    """
    with settings.client(peer_id) as client:
        if messages == STANDARD_INPUT:
            if message_id is not None:
                raise click.UsageError("--message-id is for messages that are published together, not for -.")
            click.echo(_publish_lines(client, topic, as_json))
        else:
            values = [
                _value(text.encode(errors="surrogateescape"), as_json, f"Message {n}")
                for n, text in enumerate(messages, 1)
            ]
            click.echo(client.publish_batch(topic, values, message_id).message)


def _publish_lines(client: Client, topic: str, as_json: bool) -> str:
    """Publish standard input, and return what to say of it."""
    done = read = 0
    try:
        for lines in _batches(sys.stdin.buffer):
            numbered = enumerate(lines, read + 1)
            values = [_value(line, as_json, f"Line {n}") for n, line in numbered if line.strip() or not as_json]
            read += len(lines)
            if values:
                done += client.publish_batch(topic, values).count
    except (PeerbusError, click.UsageError):
        remark(f"{counted(done, 'message')} published to topic '{topic}' before this:")
        raise
    return f"{counted(done, 'message')} published to topic '{topic}'."


def _batches(stream: Any) -> Iterator[list[bytes]]:
    """Lines, as many at a time as are there: a slow writer's are not held back, a fast one's go together."""
    parts: list[bytes] = []
    """A line that has not ended yet."""
    while chunk := stream.read1(CHUNK):
        first, *more = chunk.split(b"\n")
        parts.append(first)
        if more:
            lines = [b"".join(parts), *more[:-1]]
            parts = more[-1:]
            yield from (lines[i : i + BATCH] for i in range(0, len(lines), BATCH))
    if last := b"".join(parts):
        yield [last]


def _value(text: bytes, as_json: bool, where: str) -> Any:
    """What to publish; `where` it came from is said of what cannot be."""
    try:
        if not as_json:
            return text.decode()
        msgspec.json.decode(text.decode(), type=msgspec.Raw)
        return msgspec.Raw(text)
    except UnicodeDecodeError:
        raise click.UsageError(f"{where} is not UTF-8.") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise click.UsageError(f"{where} is not JSON: {error}.") from None
