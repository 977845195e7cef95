"""`peerbus publish`."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import msgspec

from peerbus.cli.options import Seconds, seconds_of
from peerbus.cli.output import remark
from peerbus.cli.settings import PEER_ID, TOPIC, Settings, command
from peerbus.errors import PeerbusError
from peerbus.wire.words import counted

if TYPE_CHECKING:
    from peerbus.wire.protocol import PublishAnswer

STANDARD_INPUT = ("-",)
MOST_SECONDS_AHEAD = 30 * 86_400
"""How far ahead the server publishes."""
CHUNK = 1 << 20
"""Bytes read, and so published, at once: far below the limit of a body."""
BATCH = 10_000
"""Maximum of messages published at once."""


@command(
    TOPIC,
    click.argument("messages", nargs=-1, required=True),
    click.option("--json", "as_json", is_flag=True, help="Each message is JSON, and published unchanged."),
    click.option("--message-id", help="Publish only if no message with this id was published before."),
    click.option(
        "--delay", type=Seconds(0, MOST_SECONDS_AHEAD, min_open=True), metavar="SECONDS", help="Publish later."
    ),
    click.option(
        "--at",
        type=seconds_of,
        metavar="TIME",
        help="Publish at a time: 2030-01-31T18:00, or seconds since 1970.",
    ),
    PEER_ID,
)
def publish(
    settings: Settings,
    topic: str,
    messages: tuple[str, ...],
    as_json: bool,
    message_id: str | None,
    delay: float | None,
    at: float | None,
    peer_id: str | None,
) -> None:
    """Publish messages to a topic.

    All of them are published, or none. Each is published as a string: 42 as "42". With --json each must be JSON,
    and is published unchanged. Put -- before messages that begin with a dash.

    A dash alone, -, reads standard input instead. Each line is a message, without its end, LF or CR LF, and without
    a byte order mark at the beginning. Lines are published as they arrive, several at once if they arrive fast.
    To publish a dash, use --json: '"-"'.
    """
    if delay is not None and at is not None:
        raise click.UsageError("Name either --delay or --at.")
    with settings.client(peer_id) as client:
        publish_batch = partial(client.publish_batch, delay=delay, at=at)
        if messages == STANDARD_INPUT:
            if message_id is not None:
                raise click.UsageError("--message-id is for messages that are published together, not for -.")
            done = "published to" if delay is None and at is None else "scheduled for"
            click.echo(_publish_lines(publish_batch, f"{done} topic '{topic}'", topic, as_json))
        else:
            values = [
                _value(text.encode(errors="surrogateescape"), as_json, f"Message {n}")
                for n, text in enumerate(messages, 1)
            ]
            click.echo(publish_batch(topic, values, message_id).message)


def _publish_lines(
    publish_batch: Callable[[str, list[Any]], PublishAnswer], what: str, topic: str, as_json: bool
) -> str:
    """Publish the lines of standard input, and return a sentence that says `what` was done."""
    done = read = 0
    try:
        for lines in _batches(sys.stdin.buffer):
            if read == 0:
                lines[0] = _without_mark(lines[0])
            numbered = enumerate(lines, read + 1)
            values = [_value(line, as_json, f"Line {n}") for n, line in numbered if line.strip() or not as_json]
            read += len(lines)
            if values:
                done += publish_batch(topic, values).count
    except (PeerbusError, click.UsageError):
        remark(f"{counted(done, 'message')} {what} before this:")
        raise
    return f"{counted(done, 'message')} {what}."


def _batches(stream: Any) -> Iterator[list[bytes]]:
    """Lines, as many at a time as have arrived: those of a slow writer are not held back."""
    parts: list[bytes] = []
    """The pieces of a line that has not ended yet."""
    while chunk := stream.read1(CHUNK):
        first, *more = chunk.split(b"\n")
        parts.append(first)
        if more:
            lines = [line.removesuffix(b"\r") for line in (b"".join(parts), *more[:-1])]
            parts = more[-1:]
            yield from (lines[i : i + BATCH] for i in range(0, len(lines), BATCH))
    if last := b"".join(parts):
        yield [last]


def _without_mark(line: bytes) -> bytes:
    """The first line without a byte order mark; raises `click.UsageError` for one of another encoding."""
    if line.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise click.UsageError("Line 1 begins as UTF-16 does: convert the input to UTF-8 first.")
    return line.removeprefix(BOM_UTF8)


def _value(text: bytes, as_json: bool, where: str) -> Any:
    """The value to publish; raises `click.UsageError`, which says `where` the text is from, if it is none."""
    try:
        if not as_json:
            return text.decode()
        msgspec.json.decode(text.decode(), type=msgspec.Raw)
        return msgspec.Raw(text)
    except UnicodeDecodeError:
        raise click.UsageError(f"{where} is not UTF-8.") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise click.UsageError(f"{where} is not JSON: {error}.") from None
