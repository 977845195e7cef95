"""Shared parts of the subcommands of `peerbus`: the options for the connection, and how a subcommand is made."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from peerbus.cli import options
from peerbus.cli.options import Seconds
from peerbus.errors import BadRequest, PeerbusError, TopicNotFound

if TYPE_CHECKING:
    from peerbus.client import Client

COMPLETION_SECONDS = 1.0
Decorator = Callable[[Any], Any]


@dataclass
class Settings:
    """The options for the connection; `patience` is in seconds."""

    url: str = "http://127.0.0.1:5000"
    patience: float = 0.0
    token_file: Path | None = None
    ca: Path | None = None

    def client(self, peer_id: str | None = None, **named: Any) -> Client:
        """A client with these settings, and others `named`."""
        from peerbus.client import Client  # loads requests, which --help does not need

        options = {"patience": self.patience, "token": self._token(), "ca": self.ca}
        return Client(self.url, peer_id, **options | named)

    def _token(self) -> str | None:
        """The token in the file, or in the environment; raises `click.UsageError` for an unreadable file."""
        return options.token("PEERBUS_TOKEN", self.token_file)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Store an option in the settings; one after the command overrides the same one before it."""
    if value is None:
        return
    setattr(context.ensure_object(Settings), str(parameter.name), value)
    if parameter.name == "url" and not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"{value!r} does not begin with http:// or https://.", context, parameter)


def _either_place(flag: str, default: Any, **attributes: Any) -> tuple[Decorator, Decorator]:
    """An option that is allowed before the command and after it."""

    def option(**differing: Any) -> Decorator:
        return click.option(flag, callback=_remember, expose_value=False, show_default=True, **attributes, **differing)

    return option(default=default, envvar=f"PEERBUS_{flag[2:]}".replace("-", "_").upper()), option()


def complete_topic(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The topics whose names begin so; none if the server does not answer within `COMPLETION_SECONDS`."""
    settings = context.ensure_object(Settings)
    found: list[str] = []
    give_up = monotonic() + COMPLETION_SECONDS
    with suppress(PeerbusError, ValueError), settings.client(timeout=COMPLETION_SECONDS, patience=0.0) as client:
        with suppress(TopicNotFound, BadRequest):
            found += [client.query_peers(incomplete).topic]
        for topic in client.every_topic(after=incomplete):
            if not topic.topic.startswith(incomplete) or monotonic() > give_up:
                break
            found.append(topic.topic)
    return found


URL, URL_AFTER = _either_place(
    "--url", Settings.url, metavar="URL", help="URL of the indexing server or of a peer node."
)
PATIENCE, PATIENCE_AFTER = _either_place(
    "--patience",
    Settings.patience,
    type=Seconds(0, 86_400),
    metavar="SECONDS",
    help="Seconds for which calls are repeated if the server cannot be reached, or has no room.",
)
TOKEN, TOKEN_AFTER = _either_place(
    "--token-file",
    Settings.token_file,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File with the token to send, if it is not in $PEERBUS_TOKEN.",
)
CA, CA_AFTER = _either_place(
    "--ca",
    Settings.ca,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="PEM file of the authorities to trust for https.",
)
TOPIC = click.argument("topic", shell_complete=complete_topic)
PEER_ID = click.option(
    "--peer-id", envvar="PEERBUS_PEER_ID", help="The peer that calls; may be left out at a peer node."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object on each line.")


def command(*parameters: Decorator) -> Callable[[Callable[..., Any]], click.Command]:
    """A subcommand with these parameters, whose function takes the settings as its first argument.

    Its options are environment variables too: --max of pull is PEERBUS_PULL_MAX.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        decorated: Any = click.pass_obj(function)
        for parameter in reversed((*parameters, URL_AFTER, PATIENCE_AFTER, TOKEN_AFTER, CA_AFTER)):
            decorated = parameter(decorated)
        made: click.Command = click.command()(decorated)
        for option in made.params:
            if isinstance(option, click.Option) and option.expose_value and not option.envvar:
                option.envvar = f"PEERBUS_{made.name}{option.opts[0][1:]}".replace("-", "_").upper()
        return made

    return decorate
