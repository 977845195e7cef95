"""What the command lines share: options that are environment variables too, and one clear line for an error."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from peerbus.errors import StartError
from peerbus.logs import LEVELS

USAGE_ERROR = 2
LARGEST = (1 << 63) - 1
"""The largest number that a database holds."""

MAX_BODY = click.option(
    "--max-body", type=click.IntRange(min=1), default=16 << 20, help="Bytes of the largest body taken."
)
LOG_DIR = click.option(
    "--log-dir", type=click.Path(file_okay=False, path_type=Path), default="logs", help="Folder for the log file."
)
LOG_LEVEL = click.option(
    "--log-level", type=click.Choice(LEVELS), default="info", help="Least level logged; debug has every message."
)
ALLOW_HOST = click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    show_default="on loopback none, elsewhere any",
    help="Name that clients may call this by, beside localhost; repeat it for more.",
)
ALLOW_ORIGIN = click.option(
    "--allow-origin",
    multiple=True,
    metavar="ORIGIN",
    show_default="its own alone",
    help="Origin of web pages that may call this, such as https://example.com, or * for all; repeat it for more.",
)
RATE_LIMIT = click.option(
    "--rate-limit",
    type=click.IntRange(min=1),
    show_default="none",
    help="Requests a second that each client address may make.",
)
HOST = click.option("--host", default="127.0.0.1", help="Address to listen on.")


def command(prefix: str, example: str = "--log-level") -> Callable[[Callable[..., Any]], click.Command]:
    """A command whose options are also read from environment variables `<prefix>_<OPTION>`.

    `example` is the option that the help shows this with.
    """
    variable = f"{prefix}_{example.strip('-').upper().replace('-', '_')}"
    return click.command(
        context_settings={"auto_envvar_prefix": prefix, "show_default": True, "max_content_width": 110},
        epilog=f"Every option is also an environment variable: {example} is {variable}.",
    )


def run(main: click.Command) -> NoReturn:
    """Run a command line and end the process: an error is one line on standard error, with exit code 2."""
    try:
        code = main.main(standalone_mode=False)
    except click.ClickException as error:
        code = _failed(error.format_message())
    except StartError as error:
        code = _failed(str(error))
    except click.Abort:
        code = 1
    end(code or 0)


def end(code: int) -> NoReturn:
    """End the process now, even with requests that still block threads of the server."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _failed(message: str) -> int:
    click.echo(f"error: {message}", err=True)
    return USAGE_ERROR
