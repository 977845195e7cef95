"""The real processes: an indexing server, and peer nodes beside it."""

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 10.0
SERVES_AT = re.compile(r"serves at (http://[0-9.]+:[0-9]+)")


class NotStarted(Exception):
    """A process ended, or fell silent, before it served."""


class Services(NamedTuple):
    """The URLs of an indexing server and of its peer nodes, peer1 first."""

    server: str
    nodes: list[str]


@contextmanager
def services(peers: int) -> Iterator[Services]:
    """An indexing server and `peers` peer nodes as shipped, on free ports, logging into a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="peerbus-benchmark-") as logs:
        options = ("--port", "0", "--log-dir", logs)
        with _process("indexing_server.py", 1, *options) as (server,):
            count = ("--count", str(peers), "--index-url", server)
            with _process("peer_node.py", peers, *options, *count) as nodes:
                yield Services(server, nodes)


@contextmanager
def _process(script: str, count: int, *arguments: str) -> Iterator[list[str]]:
    """A command line of the project; gives the URLs of the `count` services it starts, once they serve.

    The environment's own PEERBUS_ variables are kept away: figures are of the options named here.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PEERBUS_")}
    command = [sys.executable, str(ROOT / script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603  # our own scripts
        try:
            yield _urls(process, script, count)
        finally:
            _stop(process)


def _urls(process: subprocess.Popen[str], script: str, count: int) -> list[str]:
    found: dict[str, str] = {}
    too_late = threading.Timer(START_SECONDS, process.kill)
    too_late.start()
    try:
        while len(found) < count:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise NotStarted(f"{script} ended, or took {START_SECONDS:g} seconds, before all of it served.")
            match = SERVES_AT.search(line)
            if match:
                found[match[1]] = line.split()[0]
    finally:
        too_late.cancel()
    return sorted(found, key=lambda url: _number_in(found[url]))


def _number_in(name: str) -> int:
    return int(re.sub(r"[^0-9]", "", name) or 0)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
