"""The command line of peer nodes: `peerbus-peer`, or `python peer_node.py`."""

import re
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from peerbus.cli import options
from peerbus.cli.options import Seconds
from peerbus.cli.serving_options import check_exposure, serving
from peerbus.http.listener import allow_sockets, bind
from peerbus.http.middleware import Guards
from peerbus.http.timeouts import TIMEOUTS
from peerbus.http.tls import Certificate, trust
from peerbus.node.app import NodeOptions
from peerbus.node.launcher import Logging, Place, run_nodes
from peerbus.wire.fields import Address, Name, PushUrl, describe_fault

DEFAULTS = NodeOptions()
LAST_PORT = 65_535
PORT = click.IntRange(0, LAST_PORT)


def peer_ids(first: str, count: int) -> list[str]:
    """`count` ids; each ends with a number one higher than the one before."""
    if count == 1:
        return [first]
    match = re.fullmatch(r"(.*?)([0-9]{1,9})", first)
    if match is None:
        raise click.UsageError(f"--peer-id {first!r} must end with a number to count {count} peers from.")
    stem, number = match.groups()
    return [f"{stem}{int(number) + i:0{len(number)}}" for i in range(count)]


@options.command("PEERBUS_NODE")
@click.argument("port_argument", metavar="[PORT", type=PORT, required=False)
@click.argument("peer_id_argument", metavar="[PEER_ID]]", required=False)
@options.HOST
@click.option(
    "--port", cls=options.PortOption, type=PORT, default=5001, help="Port of the first peer; 0 takes free ports."
)
@click.option("--peer-id", default="peer1", help="Id of the first peer.")
@click.option("--count", type=click.IntRange(min=1), default=1, help="Number of peers, each in its own process.")
@click.option("--index-url", default=DEFAULTS.index_url, help="URL of the indexing server.")
@click.option(
    "--index-timeout",
    type=Seconds(0.1, 86_400),
    default=DEFAULTS.index_timeout,
    help="Seconds the indexing server may take to answer, in addition to the wait of a pull.",
)
@click.option(
    "--lease-seconds",
    type=Seconds(0.1, 86_400),
    default=DEFAULTS.lease_seconds,
    help="Seconds after which the indexing server removes a peer that makes no calls.",
)
@click.option("--advertise", default=None, help="Host by which others reach these peers, if not --host.")
@click.option(
    "--threads",
    type=click.IntRange(min=2),
    default=DEFAULTS.threads,
    help="Threads of each peer for pages, and for bodies of 1 MiB or more.",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(min=0),
    default=DEFAULTS.max_waiting,
    help="Maximum of waiting pulls of each peer.",
)
@options.token_option("--index-token", "File with the token for registering at the indexing server.")
@options.token_option("--token", "File with the token that callers of these peers must send.")
@click.option(
    "--index-ca",
    type=options.PEM,
    show_default="the system's",
    help="PEM file of the authorities to trust for an https indexing server.",
)
@click.option(
    "--push-to",
    default=None,
    help="URL of the application's hook: messages of subscriptions with ack explicit are pushed to it.",
)
@serving(DEFAULTS.max_body, DEFAULTS.max_streams)
def main(
    host: str,
    port: int,
    port_argument: int | None,
    peer_id: str,
    peer_id_argument: str | None,
    count: int,
    index_url: str,
    index_timeout: float,
    lease_seconds: float,
    advertise: str | None,
    threads: int,
    max_waiting: int,
    index_token_file: Path | None,
    token_file: Path | None,
    insecure: bool,
    max_body: int,
    max_streams: int,
    idle_timeout: float,
    log_dir: Path,
    log_level: str,
    guards: Guards,
    certificate: Certificate | None,
    index_ca: Path | None,
    push_to: str | None,
) -> int:
    """Run one peer node, or several on consecutive ports.

    PORT and PEER_ID are those of the first peer; they may be given by --port and --peer-id instead.
    """
    port = options.also_argument("port", port, port_argument)
    peer_id = options.also_argument("peer_id", peer_id, peer_id_argument)
    ids = peer_ids(peer_id, count)
    if port and port + count - 1 > LAST_PORT:
        raise click.UsageError(f"--port {port} leaves no ports for {count} peers: {LAST_PORT} is the last there is.")
    _check("--peer-id", ids[-1], Name)
    _check("--index-url", index_url, Address)
    if push_to is not None:
        _check("--push-to", push_to, PushUrl)
    if index_ca:
        trust(index_ca)  # fails here once, rather than in each child
    index_token = options.token("PEERBUS_NODE_INDEX_TOKEN", index_token_file)
    token = options.token("PEERBUS_NODE_TOKEN", token_file)
    allow_sockets()
    places = [Place(each, bind(host, port and port + i)) for i, each in enumerate(ids)]
    check_exposure(places[0].listener, token, insecure)
    node_options = NodeOptions(
        index_url,
        lease_seconds,
        index_timeout,
        threads,
        max_waiting,
        max_body,
        max_streams,
        advertise,
        guards,
        index_token,
        token,
        certificate,
        index_ca,
        push_to=push_to,
        timeouts=TIMEOUTS._replace(idle=idle_timeout),
    )
    return run_nodes(places, node_options, Logging(log_dir, log_level))


def _check(flag: str, value: str, kind: Any) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"{flag} {value!r}: {describe_fault(error)}.") from None


def run() -> NoReturn:
    """Run the command line, and end the process."""
    options.run_service(main)
