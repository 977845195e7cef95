"""The command `peerbus`: its subcommands and exit codes."""

import os
import sys
from typing import Any, TextIO

import click

from peerbus import __version__
from peerbus.cli.ack import ack, extend, nack, redrive
from peerbus.cli.list import in_flight, peers, query, scheduled, stats, subscriptions, topics
from peerbus.cli.manage import cancel, create, delete, seek, unregister, unsubscribe
from peerbus.cli.output import remark
from peerbus.cli.peek import peek
from peerbus.cli.publish import publish
from peerbus.cli.settings import CA, PATIENCE, TOKEN, URL
from peerbus.cli.subscribe import pull, subscribe
from peerbus.cli.top import top
from peerbus.errors import IndexTimeout, IndexUnreachable, PeerbusError

DONE = 0
REFUSED = 1
UNREACHABLE = 3
INTERRUPTED = 130
COMMANDS = (
    publish, scheduled, cancel, subscribe, pull, peek, ack, nack, extend, redrive, seek, unsubscribe, unregister,
    create, delete, topics, subscriptions, in_flight, peers, query, stats, top,
)  # fmt: skip


class CommandLine(click.Group):
    """A group of commands whose errors are one line on standard error, with an exit code for each kind."""

    def main(self, *arguments: Any, **extra: Any) -> Any:
        """Run a command, and end the process."""
        try:
            code = self._run(*arguments, **extra)
        except BrokenPipeError:  # the reader of the output is gone
            code = DONE
            _drop(sys.stdout)
            _drop(sys.stderr)
        sys.exit(code)

    def list_commands(self, _: click.Context) -> list[str]:
        """The commands in the order of `COMMANDS`."""
        return list(self.commands)

    def _run(self, *arguments: Any, **extra: Any) -> int:
        try:
            return super().main(*arguments, **extra | {"standalone_mode": False}) or DONE
        except click.UsageError as error:
            see = f" See {error.ctx.command_path} --help." if error.ctx else ""
            return _failed(error.exit_code, error.format_message() + see)
        except (IndexUnreachable, IndexTimeout) as error:
            return _failed(UNREACHABLE, f"{error.code}: {error.message}")
        except PeerbusError as error:
            return _failed(REFUSED, f"{error.code}: {error.message}")
        except click.Abort:
            return INTERRUPTED
        except BrokenPipeError:
            raise
        except OSError as error:
            _drop(sys.stdout)
            return _failed(REFUSED, f"{error.strerror or error}.")


def _failed(code: int, sentence: str) -> int:
    remark(f"error: {sentence}")
    return code


def _drop(stream: TextIO) -> None:
    """Discard output that could not be written: otherwise Python tries again, and fails, when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@click.group(
    cls=CommandLine,
    invoke_without_command=True,
    context_settings={"max_content_width": 110},
    epilog="Every option is also an environment variable: --url is PEERBUS_URL, --group of subscribe is "
    "PEERBUS_SUBSCRIBE_GROUP; --peer-id is PEERBUS_PEER_ID in all commands. Exit codes: 0 done, 1 refused by the "
    "server, stale messages at ack, nack and extend, or unknown ids at cancel, 2 a wrong command line, "
    "3 the server cannot be reached.",
)
@URL
@PATIENCE
@TOKEN
@CA
@click.version_option(__version__, prog_name="peerbus", message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Publish, subscribe and list, at an indexing server or through a peer node."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in COMMANDS:
    main.add_command(command)
