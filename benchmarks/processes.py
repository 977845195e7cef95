"""The real processes: an indexing server, peer nodes beside it, and other programs to compare with."""

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).parent.parent
START_SECONDS = 60.0
SECONDS_PER_SERVICE = 0.1
"""More patience where many are started at once."""
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.02
"""How often is looked whether a program listens, which does not say so itself."""
SERVES_AT = re.compile(r"serves at (http://[0-9.]+:[0-9]+)")
Process = subprocess.Popen[str]


class NotStarted(Exception):
    """A process ended, or fell silent, before it served."""


class Services(NamedTuple):
    """The URLs of an indexing server and of its peer nodes, peer1 first."""

    server: str
    nodes: list[str]


class Server(NamedTuple):
    """An indexing server's URL and its process."""

    url: str
    process: Process


class Nodes(NamedTuple):
    """The URLs of peer nodes, peer1 first, and the process that they are children of."""

    urls: list[str]
    process: Process


@contextmanager
def services(peers: int) -> Iterator[Services]:
    """An indexing server and `peers` peer nodes as shipped, on free ports, logging into a temporary folder."""
    with indexing_server() as server, peer_nodes(server.url, peers) as nodes:
        yield Services(server.url, nodes.urls)


@contextmanager
def indexing_server(*options: str) -> Iterator[Server]:
    """An indexing server as shipped, but for the options named, on a free port."""
    with _script("indexing_server.py", 1, *options) as (process, (url,)):
        yield Server(url, process)


@contextmanager
def peer_nodes(index_url: str, count: int, complaints: IO[str] | None = None) -> Iterator[Nodes]:
    """`count` peer nodes as shipped, peer1 and so on, on free ports; `complaints` takes their standard error."""
    options = ("--count", str(count), "--index-url", index_url)
    with _script("peer_node.py", count, *options, complaints=complaints) as (process, urls):
        yield Nodes(urls, process)


@contextmanager
def program(command: Sequence[str], port: int) -> Iterator[str]:
    """A program that listens on a port of 127.0.0.1; gives its URL, once it takes connections."""
    with running(command) as process:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotStarted(f"{command[0]} ended, or took {START_SECONDS:g} seconds, before it served.")
            time.sleep(LOOK_SECONDS)
        yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    """A port that nothing listens on, for a program that cannot choose one itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def running(command: Sequence[str], complaints: IO[str] | None = None) -> Iterator[Process]:
    """A process, whose output can be read, and which is ended if it still runs afterwards.

    Its standard error goes to `complaints`, or else where that of this process goes. The environment's own
    PEERBUS_ variables are kept away: figures are of the options named here.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PEERBUS_")}
    with subprocess.Popen(  # noqa: S603  # what the benchmarks name
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=complaints, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            _stop(process)


@contextmanager
def _script(
    script: str, count: int, *options: str, complaints: IO[str] | None = None
) -> Iterator[tuple[Process, list[str]]]:
    """A command line of the project, and the URLs of the `count` services it starts, once they serve."""
    with tempfile.TemporaryDirectory(prefix="peerbus-benchmark-") as logs:
        command = [sys.executable, str(ROOT / script), "--port", "0", "--log-dir", logs, *options]
        with running(command, complaints) as process:
            yield process, _urls(process, script, count)


def _urls(process: Process, script: str, count: int) -> list[str]:
    found: dict[str, str] = {}
    patience = START_SECONDS + count * SECONDS_PER_SERVICE
    too_late = threading.Timer(patience, process.kill)
    too_late.start()
    try:
        while len(found) < count:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise NotStarted(f"{script} ended, or took {patience:g} seconds, before all of it served.")
            match = SERVES_AT.search(line)
            if match:
                found[match[1]] = line.split()[0]
    finally:
        too_late.cancel()
    return sorted(found, key=lambda url: _number_in(found[url]))


def _number_in(name: str) -> int:
    return int(re.sub(r"[^0-9]", "", name) or 0)


def _stop(process: Process) -> None:
    process.terminate()
    try:
        process.communicate(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
