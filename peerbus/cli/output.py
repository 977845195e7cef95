"""Output: lines of JSON, tables, and remarks on standard error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from peerbus.logs import printable

if TYPE_CHECKING:
    from peerbus.client import Message

UNITS = ("B", "KiB", "MiB", "GiB")
PERIODS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def remark(sentence: str) -> None:
    """Print a sentence to standard error."""
    click.echo(printable(sentence), err=True)


def lines_of(messages: Iterable[Message], *, details: bool) -> bytes:
    """Messages with raw values, one on each line: as published, but without line breaks between tokens."""
    return b"\n".join(_line(message, details) for message in messages)


def _line(message: Message, details: bool) -> bytes:
    value = bytes(message.value)
    if b"\n" in value or b"\r" in value:
        value = msgspec.json.format(value, indent=-1)
    if not details:
        return value
    shown: dict[str, Any] = {"offset": message.offset}
    if message.attempt is not None:
        shown["attempt"] = message.attempt
    if message.published_at is not None:
        shown |= {"publisher": message.publisher, "published_at": message.published_at}
    return msgspec.json.encode(shown | {"message": msgspec.Raw(value)})


def show_json(rows: Iterable[Any]) -> None:
    """Print one object on each line."""
    for row in rows:
        click.echo(msgspec.json.encode(row))


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> None:
    """Print a table."""
    click.echo("\n".join(table(headings, rows)))


def table(headings: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> list[str]:
    """The lines of a table: numbers are aligned to the right, and None is a dash."""
    rows = list(rows)
    cells = [headings, *([_cell(value) for value in row] for row in rows)]
    columns = range(len(headings))
    widths = [max(len(row[i]) for row in cells) for i in columns]
    words = [any(isinstance(row[i], str) for row in rows) for i in columns]
    return [
        "  ".join(row[i].ljust(widths[i]) if words[i] else row[i].rjust(widths[i]) for i in columns).rstrip()
        for row in cells
    ]


def size(count: float) -> str:
    """A number of bytes, in words."""
    for unit in UNITS[:-1]:
        if count < 1000:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count} B"
        count /= 1024
    return f"{count:.1f} {UNITS[-1]}"


def moment(time: float) -> str:
    """A time in seconds since 1970, as a date and a time of day in this time zone."""
    return datetime.fromtimestamp(time).astimezone().isoformat(timespec="seconds")


def period(seconds: float) -> str:
    """A duration, in the largest unit that it reaches."""
    for length, unit in PERIODS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def period_or_none(seconds: float | None) -> str | None:
    """A duration as `period` says it, if there is one."""
    return None if seconds is None else period(seconds)


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else printable(str(value))
