"""The options of commands that serve: whom they let in, by what, and how much."""

import socket
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from peerbus.cli.options import LOG_DIR, LOG_LEVEL, PEM
from peerbus.errors import StartError
from peerbus.http.event_stream import MAX_STREAMS
from peerbus.http.middleware import Guards, is_loopback
from peerbus.http.tls import certificate_in

OPTIONS = (
    click.option("--insecure", is_flag=True, help="Listen beyond this machine without asking for a token."),
    click.option("--max-body", type=click.IntRange(min=1), default=16 << 20, help="Bytes of the largest body taken."),
    click.option(
        "--max-streams", type=click.IntRange(min=0), default=MAX_STREAMS, help="Streams open at once, each a thread."
    ),
    click.option(
        "--allow-host",
        multiple=True,
        metavar="NAME",
        show_default="on loopback none, elsewhere any",
        help="Name that clients may call this by, beside localhost; repeat it for more.",
    ),
    click.option(
        "--allow-origin",
        multiple=True,
        metavar="ORIGIN",
        show_default="its own alone",
        help="Origin of web pages that may call this, such as https://example.com, or * for all; repeat it for more.",
    ),
    click.option(
        "--rate-limit",
        type=click.IntRange(min=1),
        show_default="none",
        help="Requests a second that each client address may make.",
    ),
    click.option(
        "--certificate", type=PEM, show_default="plain http", help="Certificate to serve https by, a file in PEM."
    ),
    click.option("--key", type=PEM, show_default="none", help="Key of the certificate, a file in PEM."),
    LOG_DIR,
    LOG_LEVEL,
)


def serving(main: Callable[..., Any]) -> Callable[..., Any]:
    """Give `main` these options: as `guards` and `certificate` what belongs together, the others by their names."""

    @wraps(main)
    def collect(
        *,
        allow_host: tuple[str, ...],
        allow_origin: tuple[str, ...],
        rate_limit: int | None,
        certificate: Path | None,
        key: Path | None,
        **others: Any,
    ) -> Any:
        guards = Guards(allow_host, allow_origin, rate_limit)
        return main(guards=guards, certificate=certificate_in(certificate, key), **others)

    served: Callable[..., Any] = collect
    for option in reversed(OPTIONS):
        served = option(served)
    return served


def check_exposure(listener: socket.socket, token: str | None, insecure: bool) -> None:
    """Raise `StartError` where others than this machine's could call, and nobody decided that they may."""
    address = listener.getsockname()[0]
    if token is None and not insecure and not is_loopback(address):
        raise StartError(
            f"Listening on {address}, anybody who reaches it could call. Ask for a token with --token-file, "
            "or say --insecure."
        )
