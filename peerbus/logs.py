"""Log files: one line for each event."""

import fcntl
import logging
import logging.handlers
import os
import sys
import textwrap
from hashlib import sha256
from io import TextIOWrapper
from pathlib import Path
from typing import Any
from urllib.parse import quote

from peerbus.errors import StartError

FILE_BYTES = 10 << 20
OLD_FILES = 3
LONGEST_NAME = 128
LEVELS = ("debug", "info", "warning", "error")


STANDARD_ERROR = Path("-")
"""Instead of a folder: all events go to standard error, and to no file."""


class LogFolderError(StartError):
    """The log folder is no folder."""


class _OwnFile(logging.handlers.RotatingFileHandler):
    """A log file that no other process writes to or rotates; opening it raises `BlockingIOError` while one does."""

    def _open(self) -> TextIOWrapper:
        file = super()._open()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise
        except OSError:  # this file system has no locks
            pass
        return file


class _OneLine(logging.Formatter):
    """Formats each event as one line whatever characters are in it, and indents its trace."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name the base class gives it
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the name the base class gives it
        return textwrap.indent(super().formatException(ei), "    ")


def printable(text: str) -> str:
    """`text` with control characters escaped: neither a terminal nor a reader of logs takes them for its own."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def log_to(folder: Path, name: str, level: str) -> Path | None:
    """Log the events of this process, from `level` up, to a file `<name>.log`, and return its path.

    Warnings and errors go to standard error as well. At `FILE_BYTES` the file is rotated; the last `OLD_FILES` are
    kept. While another process logs to that file, it is `<name>-<process id>.log`. Without a file (`STANDARD_ERROR`, or
    no file can be written), all events go to standard error, and this returns None. Raises `LogFolderError`.
    """
    folder = usable_folder(folder, name)
    console = logging.StreamHandler()
    handlers: list[logging.Handler] = [console]
    path = None
    if folder != STANDARD_ERROR:
        file = _open(folder, name)
        path = Path(file.baseFilename)
        console.setLevel(logging.WARNING)
        handlers.insert(0, file)
    logging.raiseExceptions = False
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        handler.setFormatter(_OneLine("%(asctime)s %(levelname)-7s %(message)s"))
        root.addHandler(handler)
    root.setLevel(level.upper())
    return path


def usable_folder(folder: Path, name: str) -> Path:
    """`folder`, or `STANDARD_ERROR` after a warning if the log file cannot be written in it.

    Raises `LogFolderError` for a path that can never be a folder.
    """
    if folder == STANDARD_ERROR:
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _open(folder, name).close()
    except (FileExistsError, NotADirectoryError):
        raise LogFolderError(
            f"Cannot log to {folder}, which is no folder: name a folder, or - to log to standard error alone."
        ) from None
    except OSError as error:
        sys.stderr.write(
            f"warning: Cannot write the log file {folder / name}.log: {error.strerror}. "
            "All events are logged to standard error; --log-dir - says so without this warning.\n"
        )
        return STANDARD_ERROR
    return folder


def _open(folder: Path, name: str) -> _OwnFile:
    """The log file, which exists then; raises `OSError`."""
    own = _file_name(name)
    try:
        return _opened(folder / f"{own}.log")
    except BlockingIOError:
        return _opened(folder / f"{own}-{os.getpid()}.log")


def _opened(path: Path) -> _OwnFile:
    return _OwnFile(path, maxBytes=FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8")


def _file_name(name: str) -> str:
    """`name` quoted for use as a file name; a long one is cut, and made unique by a digest."""
    quoted = quote(name, safe="")
    return quoted if len(quoted) <= LONGEST_NAME else f"{quoted[:LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:8]}"
