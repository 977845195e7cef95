"""The CSV: what the figures depend on in comment lines, then one row a measurement."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.measurement import Measurement
from benchmarks.summary import Summary

_NAMES = [field.name for field in fields(Measurement)]
_LATENCIES = len(fields(Summary))
COLUMNS = _NAMES[_LATENCIES:] + _NAMES[:_LATENCIES]
"""What was measured first, then how it went, the latencies last."""
COMMENT = "# "


class TableError(Exception):
    """A file is not a table of measurements."""


class Table(NamedTuple):
    """What the figures depend on, by name, and the measurements."""

    notes: dict[str, str]
    rows: list[Measurement]


def write(path: Path, notes: Mapping[str, str], rows: Sequence[Measurement]) -> None:
    """Write a table, and the folders it is in; times have a precision of 0.1 microseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines(f"{COMMENT}{name}: {value}\n" for name, value in notes.items())
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _text(value) for name, value in asdict(row).items()})


def read(path: Path) -> Table:
    """Read a table; raises `TableError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path} cannot be read: {error}.") from None
    notes = [line.removeprefix(COMMENT).partition(": ") for line in lines if line.startswith(COMMENT)]
    data = [line for line in lines if not line.startswith(COMMENT)]
    try:
        rows = msgspec.convert(list(csv.DictReader(data)), list[Measurement], strict=False)
    except (msgspec.ValidationError, csv.Error) as error:
        raise TableError(f"{path} is not a table of measurements: {error}.") from None
    return Table({name: value for name, _, value in notes}, rows)


def _text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
