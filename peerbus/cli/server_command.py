"""The command line of the indexing server: `peerbus-server`, or `python indexing_server.py`."""

from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import click

from peerbus.broker import Limits
from peerbus.cli import options
from peerbus.cli.options import Seconds
from peerbus.cli.serving_options import check_exposure, serving
from peerbus.http.listener import allow_sockets, bind
from peerbus.http.middleware import Guards
from peerbus.http.timeouts import TIMEOUTS
from peerbus.http.tls import Certificate
from peerbus.logs import log_to
from peerbus.server.access import Tokens
from peerbus.server.options import ServerOptions
from peerbus.server.peer_addresses import PeerAddresses
from peerbus.server.server import IndexingServer
from peerbus.storage import Storage
from peerbus.storage.group_commit import GroupCommit, InMemory

DEFAULTS = ServerOptions()
MOST_METRICS_QUEUES = 10_000
PORT = click.IntRange(0, 65535)


def limit_options(command: Any) -> Any:
    """One option for each of the broker's limits."""
    for limit in reversed(fields(Limits)):
        least = limit.metadata["least"]
        bounds = click.IntRange(least, options.LARGEST) if limit.type is int else Seconds(0, 31_622_400)
        flag = f"--{limit.name.replace('_', '-')}"
        command = click.option(flag, type=bounds, default=limit.default, help=limit.metadata["help"])(command)
    return command


@options.command("PEERBUS")
@click.argument("port_argument", metavar="[PORT]", type=PORT, required=False)
@options.HOST
@click.option("--port", cls=options.PortOption, type=PORT, default=5000, help="Port to listen on; 0 takes a free port.")
@click.option(
    "--threads",
    type=click.IntRange(min=2),
    default=DEFAULTS.threads,
    help="Threads for pages, and for bodies of 1 MiB or more.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="in memory alone",
    help="Folder to keep the state in.",
)
@click.option(
    "--min-free",
    type=click.IntRange(min=0),
    default=64 << 20,
    help="Free bytes on the disk of --data-dir below which calls that need room are refused.",
)
@options.token_option("--token", "File with the token for registering; each peer then gets its own token.")
@options.token_option("--admin-token", "File with the token for all calls.")
@options.token_option("--metrics-token", "File with the token for reading /metrics and /stats, and nothing else.")
@click.option(
    "--allow-address",
    multiple=True,
    metavar="HOST",
    show_default="each caller's own",
    help="Host or network, such as 10.0.0.0/8, that peers may register addresses in; repeat for more.",
)
@click.option(
    "--peer-ca",
    type=options.PEM,
    show_default="the system's",
    help="PEM file of the authorities to trust for https peer nodes.",
)
@click.option(
    "--metrics-queues",
    type=click.IntRange(0, MOST_METRICS_QUEUES),
    default=DEFAULTS.metrics_queues,
    help="Message queues, and as many topics, that /metrics shows one by one: those with the largest backlogs.",
)
@serving(DEFAULTS.max_body, DEFAULTS.max_streams)
@limit_options
def main(
    host: str,
    port: int,
    port_argument: int | None,
    threads: int,
    data_dir: Path | None,
    min_free: int,
    token_file: Path | None,
    admin_token_file: Path | None,
    metrics_token_file: Path | None,
    insecure: bool,
    max_body: int,
    max_streams: int,
    idle_timeout: float,
    log_dir: Path,
    log_level: str,
    allow_address: tuple[str, ...],
    guards: Guards,
    certificate: Certificate | None,
    peer_ca: Path | None,
    metrics_queues: int,
    **limits: Any,
) -> None:
    """Run the peerbus indexing server, at PORT if it is given, else at --port."""
    tokens = _tokens(token_file, admin_token_file, metrics_token_file)
    allow_sockets()
    listener = bind(host, options.also_argument("port", port, port_argument))
    check_exposure(listener, tokens and tokens.enrolment, insecure)
    log_file = log_to(log_dir, f"indexing_server-{listener.port}", log_level)
    journal = GroupCommit(Storage(data_dir), min_free) if data_dir else InMemory()
    server_options = ServerOptions(
        Limits(**limits),
        threads,
        max_body,
        guards,
        PeerAddresses(allow_address),
        tokens,
        certificate,
        peer_ca,
        max_streams,
        metrics_queues=metrics_queues,
        timeouts=TIMEOUTS._replace(idle=idle_timeout),
    )
    server = IndexingServer(listener, server_options, journal)
    server.stop_on_signals()
    server.start()
    place, log = listener.described(certificate is not None), log_file or "standard error"
    click.echo(f"The indexing server serves at {place}, logging to {log}. Ctrl-C stops it.")
    server.wait()


def _tokens(file: Path | None, admin_file: Path | None, metrics_file: Path | None) -> Tokens | None:
    enrolment = options.token("PEERBUS_TOKEN", file)
    admin = options.token("PEERBUS_ADMIN_TOKEN", admin_file)
    metrics = options.token("PEERBUS_METRICS_TOKEN", metrics_file)
    given = [token for token in (enrolment, admin, metrics) if token]
    if enrolment is None and given:
        raise click.UsageError(
            "With an admin or a metrics token, peers need one to register with: name it with --token-file."
        )
    if len(set(given)) < len(given):
        raise click.UsageError("The token to register with, the admin token and the metrics token must be different.")
    return Tokens(enrolment, admin, metrics) if enrolment else None


def run() -> NoReturn:
    """Run the command line, and end the process."""
    options.run_service(main)
