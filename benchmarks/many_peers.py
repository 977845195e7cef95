"""Very many peer nodes on one machine: `python -m benchmarks.many_peers --help`."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

import click

from benchmarks import command
from benchmarks.load import Caller, Load, generate, make, make_all, names, prepare, stat
from benchmarks.processes import POLL_SECONDS, Process, children, indexing_server, peer_nodes, proportional_mib
from benchmarks.stats import write_table
from peerbus.cli import options
from peerbus.http.listener import allow_sockets

GONE_SECONDS = 60.0
SETTLE_SECONDS = 5.0
SHOWN_COMPLAINTS = 3


@dataclass(frozen=True, slots=True)
class ManyPeers:
    """The start, use and stop of many peer nodes.

    `start_seconds` are from the command until every node has answered, `stop_seconds` from Ctrl-C until the process
    that started the nodes ended, which is the last to end. The memory is that of the nodes' processes before their
    first message, each with its part of what they share (PSS). `published` and `pulled` count the good answers to one
    call at each node, all called at once; a pull is good if it returned the message published for this peer.
    `complaints` counts the lines that the nodes wrote to standard error.
    """

    peers: int
    start_seconds: float
    median_mib: float
    most_mib: float
    all_mib: float
    published: int
    publish_seconds: float
    pulled: int
    pull_seconds: float
    stop_seconds: float
    exit_code: int
    processes_left: int
    peers_left: int
    complaints: int

    def __str__(self) -> str:
        """A few lines for a person."""
        return (
            f"{self.peers:,} peer nodes: all answer after {self.start_seconds:.1f} s\n"
            f"PSS: median {self.median_mib:.1f} MiB, most {self.most_mib:.1f} MiB, all {self.all_mib:,.0f} MiB\n"
            f"published {self.published:,} in {self.publish_seconds:.1f} s, "
            f"pulled {self.pulled:,} in {self.pull_seconds:.1f} s\n"
            f"Ctrl-C: all gone after {self.stop_seconds:.1f} s, exit code {self.exit_code}, "
            f"{self.processes_left} processes left, {self.peers_left} peers still registered\n"
            f"{self.complaints} lines on standard error"
        )


def measure(count: int) -> ManyPeers:
    """Start `count` peer nodes, let each publish and pull one message, and stop them all."""
    with indexing_server() as server, tempfile.TemporaryFile("w+") as complaints:
        begin = time.monotonic()
        with peer_nodes(server.url, count, complaints) as nodes:
            make([Caller(url, [prepare("livez", method="GET")]) for url in nodes.urls])
            start_seconds = time.monotonic() - begin
            members = children(nodes.process.pid) or [nodes.process.pid]
            memory = [proportional_mib(pid) for pid in members]
            published, pulled = exchange(server.url, nodes.urls)
            stop_seconds = interrupt(nodes.process, members)
        return ManyPeers(
            peers=count,
            start_seconds=start_seconds,
            median_mib=median(memory),
            most_mib=max(memory),
            all_mib=sum(memory),
            published=len(published.latencies["publish"]),
            publish_seconds=published.seconds,
            pulled=len(pulled.latencies["pull_messages"]),
            pull_seconds=pulled.seconds,
            stop_seconds=stop_seconds,
            exit_code=nodes.process.returncode,
            processes_left=len(running_of(members)),
            peers_left=left_at(server.url),
            complaints=lines_of(complaints),
        )


def exchange(server: str, nodes: Sequence[str]) -> tuple[Load, Load]:
    """Let each node publish a message to the next node's topic, and then pull the message in its own topic."""
    topics = names("topic", len(nodes))
    texts = names("message", len(nodes))
    make_all(server, [prepare("create_topic", {"topic": topic}) for topic in topics])
    make([Caller(url, [prepare("subscribe", {"topic": topic})]) for url, topic in zip(nodes, topics, strict=True)])
    publishers = [
        Caller(url, [prepare("publish", {"topic": topic, "message": text}, expected=b'"count":1,')])
        for url, topic, text in zip(nodes, [*topics[1:], topics[0]], [*texts[1:], texts[0]], strict=True)
    ]
    pullers = [
        Caller(url, [prepare("pull_messages", {"topic": topic}, expected=b'"messages":["%s"]' % text.encode())])
        for url, topic, text in zip(nodes, topics, texts, strict=True)
    ]
    published, pulled = generate(publishers), generate(pullers)
    for load in (published, pulled):
        if load.first_error:
            click.echo(load.first_error, err=True)
    return published, pulled


def interrupt(process: Process, members: Sequence[int]) -> float:
    """Send SIGINT to every process, as Ctrl-C does; returns the seconds until `process`, which waits for all, ended."""
    begin = time.monotonic()
    for pid in (process.pid, *members):
        with suppress(ProcessLookupError):  # the first one stops the others itself
            os.kill(pid, signal.SIGINT)
    try:
        process.wait(GONE_SECONDS)
    except subprocess.TimeoutExpired:
        left = len(running_of(members))
        raise click.ClickException(f"{left} peer nodes still run {GONE_SECONDS:g} seconds after Ctrl-C.") from None
    return time.monotonic() - begin


def lines_of(complaints: IO[str]) -> int:
    """The number of lines in a file; prints the first few."""
    complaints.seek(0)
    lines = complaints.readlines()
    click.echo("".join(lines[:SHOWN_COMPLAINTS]), nl=False, err=True)
    return len(lines)


def left_at(server: str) -> int:
    """The number of peers still registered after the server had time for the calls of processes that are gone."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (left := stat(server, "peers")) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return left


def running_of(pids: Sequence[int]) -> list[int]:
    """The processes among `pids` that are still peer nodes; the system may have given a number to another process."""
    return [pid for pid in pids if b"peer_node.py" in command_line(pid)]


def command_line(pid: int) -> bytes:
    """The command line of a process; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@options.command("PEERBUS_MANY_PEERS", "--count")
@click.option("--count", type=click.IntRange(min=1), default=1000, help="Peer nodes, each a process.")
@command.RESULTS
def main(count: int, results: Path) -> None:
    """Start very many peer nodes, see each answer a publish and a pull, and stop them; writes many_peers.csv."""
    notes = command.describe(open_files=allow_sockets())
    with command.errors_in_one_line():
        found = measure(count)
    write_table(results / "many_peers.csv", notes, [found])
    click.echo(found)


if __name__ == "__main__":
    options.run(main)
