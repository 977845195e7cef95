"""The options that the indexing server and peer nodes share: access, TLS, limits and logs."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from peerbus.cli.options import LOG_DIR, LOG_LEVEL, PEM, Seconds
from peerbus.errors import StartError
from peerbus.http.listener import Listener
from peerbus.http.middleware import Guards, is_loopback
from peerbus.http.timeouts import TIMEOUTS
from peerbus.http.tls import certificate_in

OPTIONS = (
    click.option("--insecure", is_flag=True, help="Allow listening beyond this machine without a token."),
    click.option(
        "--allow-host",
        multiple=True,
        metavar="NAME",
        show_default="on loopback none, elsewhere any",
        help="Host name by which clients may call, in addition to localhost; repeat for more.",
    ),
    click.option(
        "--allow-origin",
        multiple=True,
        metavar="ORIGIN",
        show_default="its own alone",
        help="Origin of web pages that may call, such as https://example.com, or * for all; repeat for more.",
    ),
    click.option(
        "--rate-limit",
        type=click.IntRange(min=1),
        show_default="none",
        help="Maximum of requests per second from each client address.",
    ),
    click.option("--certificate", type=PEM, show_default="plain http", help="PEM file of the certificate for https."),
    click.option("--key", type=PEM, show_default="none", help="PEM file of the certificate's key."),
    LOG_DIR,
    LOG_LEVEL,
)


def serving(max_body: int, max_streams: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add these options to a command, with its defaults for two of them.

    The command gets some of the options together, as `guards` and `certificate`.
    """
    limits = (
        click.option("--max-body", type=click.IntRange(min=1), default=max_body, help="Maximum of bytes in a body."),
        click.option(
            "--idle-timeout",
            type=Seconds(1, 86_400),
            default=TIMEOUTS.idle,
            help="Seconds that a connection may be idle between two requests; longer than a proxy in front keeps it.",
        ),
        click.option("--max-streams", type=click.IntRange(min=0), default=max_streams, help="Maximum of open streams."),
    )

    def add(main: Callable[..., Any]) -> Callable[..., Any]:
        served = _collecting(main)
        for option in reversed((*limits, *OPTIONS)):
            served = option(served)
        return served

    return add


def _collecting(main: Callable[..., Any]) -> Callable[..., Any]:
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

    return collect


def check_exposure(listener: Listener, token: str | None, insecure: bool) -> None:
    """Raise `StartError` if other machines could call without a token, unless that is meant."""
    beyond = [address for address in listener.hosts if not is_loopback(address)]
    if beyond and token is None and not insecure:
        raise StartError(
            f"Listening on {beyond[0]}, anybody who reaches it could call. Ask for a token with --token-file, "
            "or say --insecure."
        )
