"""The CSV: what the figures depend on in comment lines, then one row a measurement."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

COMMENT = "# "
Row = TypeVar("Row")
"""A dataclass of numbers and text."""


class TableError(Exception):
    """A file is not a table of measurements."""


class Table(NamedTuple, Generic[Row]):
    """What the figures depend on, by name, and the measurements."""

    notes: dict[str, str]
    rows: list[Row]


def columns(kind: type[Any]) -> list[str]:
    """A kind of row's fields: its own first, which say what was measured, then those it inherits: how it went."""
    own = kind.__annotations__
    return sorted((field.name for field in fields(kind)), key=lambda name: name not in own)


def write(path: Path, notes: Mapping[str, str], rows: Sequence[Any]) -> None:
    """Write a table of at least one row, and the folders it is in; milliseconds have four decimals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"{COMMENT}{name}: {value}\n" for name, value in notes.items())
        writer = csv.DictWriter(file, columns(type(rows[0])), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _text(value) for name, value in asdict(row).items()})


def read(path: Path, kind: type[Row]) -> Table[Row]:
    """Read a table of a kind of row; raises `TableError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read: {error}.") from None
    notes = [line.removeprefix(COMMENT).partition(": ") for line in lines if line.startswith(COMMENT)]
    data = [line for line in lines if not line.startswith(COMMENT)]
    try:
        rows = msgspec.convert(list(csv.DictReader(data)), list[kind], strict=False)  # type: ignore[valid-type]
    except (msgspec.ValidationError, csv.Error) as error:
        raise TableError(f"{path} is not a table of measurements: {error}.") from None
    return Table({name: value for name, _, value in notes}, rows)


def _text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
