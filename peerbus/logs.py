"""Log files: one line for each event."""

import logging
import logging.handlers
import textwrap
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from peerbus.errors import StartError

FILE_BYTES = 10 << 20
OLD_FILES = 3
LONGEST_NAME = 128
LEVELS = ("debug", "info", "warning", "error")


class LogFolderError(StartError):
    """The log file cannot be written."""


class _OneLine(logging.Formatter):
    """Formats each event as one line whatever characters are in it, and indents its trace."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name the base class gives it
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the name the base class gives it
        return textwrap.indent(super().formatException(ei), "    ")


def printable(text: str) -> str:
    """`text` with control characters escaped: neither a terminal nor a reader of logs takes them for its own."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def log_to(folder: Path, name: str, level: str) -> Path:
    """Log the events of this process, from `level` up, to a file `<name>.log`, and return its path.

    Warnings and errors go to standard error as well. At `FILE_BYTES` the file is rotated; the last `OLD_FILES` are
    kept. Raises `LogFolderError` if the file cannot be written.
    """
    path = folder / f"{_file_name(name)}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = logging.handlers.RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8")
    except OSError as error:
        raise LogFolderError(f"Cannot write the log file {path}: {error.strerror}.") from None
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    logging.raiseExceptions = False
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in (file, console):
        handler.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(message)s"))
        root.addHandler(handler)
    root.setLevel(level.upper())
    return path


def _file_name(name: str) -> str:
    """`name` quoted for use as a file name; a long one is cut, and made unique by a digest."""
    quoted = quote(name, safe="")
    return quoted if len(quoted) <= LONGEST_NAME else f"{quoted[:LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:8]}"
