"""Shared parts of the command lines: options, their environment variables, and errors as one line."""

import logging
import math
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from click.core import ParameterSource

from peerbus.errors import StartError
from peerbus.logs import LEVELS
from peerbus.stop_signals import stop_signals

T = TypeVar("T")

SHORTEST_TOKEN = 16
LARGEST = (1 << 63) - 1
"""The largest integer that the database can store."""

PEM = click.Path(dir_okay=False, path_type=Path)

LOG_DIR = click.option(
    "--log-dir",
    type=click.Path(path_type=Path),
    default="logs",
    help="Folder for the log file; - logs to standard error alone.",
)
LOG_LEVEL = click.option(
    "--log-level", type=click.Choice(LEVELS), default="info", help="Lowest level logged; debug includes every message."
)
HOST = click.option("--host", default="127.0.0.1", help="Address to listen on.")


def token_option(flag: str, meaning: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option `<flag>-file` for a file with a token; the environment may hold the token itself, without `_FILE`."""
    return click.option(f"{flag}-file", type=click.Path(dir_okay=False, path_type=Path), default=None, help=meaning)


SERVICE_LINK = re.compile("(tcp|udp|sctp)://")


class PortOption(click.Option):
    """The option `--port`. Kubernetes and Docker set its environment variable, too, to a URL of a service."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The value of the variable; None, with a warning, for the link of a service of the same name."""
        value = super().resolve_envvar_value(ctx)
        if value is None or not SERVICE_LINK.match(value):
            return value
        click.echo(
            f"warning: ${ctx.auto_envvar_prefix}_PORT is {value!r}, which Kubernetes sets for a service of this name "
            "(a service link), and is ignored. 'enableServiceLinks: false' in the pod's spec turns these links off.",
            err=True,
        )
        return None


def also_argument(name: str, option: T, argument: T | None) -> T:
    """The value of an option or of an argument for it; raises `click.UsageError` if both are given and differ."""
    context = click.get_current_context()
    if argument is None:
        return option
    if context.get_parameter_source(name) is ParameterSource.COMMANDLINE and option != argument:
        flag = f"--{name.replace('_', '-')}"
        raise click.UsageError(f"The argument {argument} and {flag} {option} differ: leave one of them out.")
    return argument


def command(prefix: str, example: str = "--log-level") -> Callable[[Callable[..., Any]], click.Command]:
    """A command whose options are also environment variables, `<prefix>_<OPTION>`; the help shows that of `example`."""
    variable = f"{prefix}_{example.strip('-').upper().replace('-', '_')}"
    return click.command(
        context_settings={"auto_envvar_prefix": prefix, "show_default": True, "max_content_width": 110},
        epilog=f"Every option is also an environment variable: {example} is {variable}.",
    )


def token(variable: str, file: Path | None) -> str | None:
    """The token in a file, or else in an environment variable, or None.

    Raises `click.UsageError` for an unreadable file, and for a token that is too short.
    """
    source, found = f"${variable}", os.environ.get(variable, "").strip()
    if file:
        try:
            source, found = str(file), file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not ASCII"
            raise click.UsageError(f"The token in {file} cannot be read: {reason}.") from None
    if not found and not file:
        return None
    if len(found) < SHORTEST_TOKEN or not found.isprintable() or " " in found:
        raise click.UsageError(f"The token in {source} must be one word of at least {SHORTEST_TOKEN} characters.")
    return found


def run(main: click.Command, stopped: Callable[..., Any] = signal.default_int_handler) -> NoReturn:
    """Run a command and end the process; an error is one line on standard error, with the exit code of its kind.

    `stopped` handles the signals that ask it to stop; by default they interrupt it as Ctrl-C does.
    """
    for number in stop_signals():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stopped)
    try:
        code = main.main(standalone_mode=False)
    except click.ClickException as error:
        code = _failed(StartError.exit_code, error.format_message())
    except StartError as error:
        code = _failed(error.exit_code, str(error))
    except click.Abort:
        code = 1
    end(code or 0)


def run_service(main: click.Command) -> NoReturn:
    """Run a command as `run` does; a signal that comes before it serves ends the process at once, without an error."""
    run(main, lambda *_: os._exit(0))


def end(code: int) -> NoReturn:
    """End the process now, even if requests still block threads of the server."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _failed(code: int, message: str) -> int:
    click.echo(f"error: {message}", err=True)
    return code


class Seconds(click.FloatRange):
    """A finite number of seconds within bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; NaN and infinity are refused, although they may be within the bounds."""
        seconds = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds


def seconds_of(time: str) -> float:
    """A time in seconds since 1970: such a number, or a date and a time of day (ISO 8601), by default of this zone.

    Raises `click.BadParameter` for others.
    """
    with suppress(ValueError):
        if math.isfinite(seconds := float(time)):
            return seconds
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat(time).timestamp()
    raise click.BadParameter(f"{time!r} is not a time, such as 2030-01-31T18:00 or 1900000000.")
