"""Log files: one line an event."""

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
    """Keeps control characters that a caller sent from writing lines of their own; indents traces."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name the base class gives it
        line = super().formatMessage(record)
        return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the name the base class gives it
        return textwrap.indent(super().formatException(ei), "    ")


def log_to(folder: Path, name: str, level: str) -> Path:
    """Send all logging of this process from `level` on to a rotating file `<name>.log`, and return its path.

    Warnings and errors go to standard error as well. The file is kept to `FILE_BYTES`, with `OLD_FILES` older
    ones beside it. Raises `LogFolderError` when it cannot be written.
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
    logging.getLogger("_granian").setLevel(logging.WARNING)
    return path


def _file_name(name: str) -> str:
    """`name` as a file can be called, a long one cut and told from its like by a digest."""
    quoted = quote(name, safe="")
    return quoted if len(quoted) <= LONGEST_NAME else f"{quoted[:LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:8]}"
