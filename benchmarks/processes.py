"""The processes under test: an indexing server, peer nodes beside it, other programs; and what they use."""

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
"""Added to the timeout for each service that is started."""
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02
"""How often a condition is checked that nothing announces."""
SERVES_AT = re.compile(r"serves at (http://[0-9.]+:[0-9]+)")
CPU_CLOCK = 2
"""The clock of a process that counts its processor time in nanoseconds, user and system (clock_getcpuclockid(3))."""
STEAL = 8
"""The column of /proc/stat with the time that other virtual machines ran instead, in ticks (proc(5))."""
Process = subprocess.Popen[str]


class NotStarted(Exception):
    """A process ended, or timed out, before it served."""


class Services(NamedTuple):
    """The URLs of an indexing server and of its peer nodes, peer1 first."""

    server: str
    nodes: list[str]


class Server(NamedTuple):
    """A server's URL and its process."""

    url: str
    process: Process


class Nodes(NamedTuple):
    """The URLs of peer nodes, peer1 first, and the process that started them."""

    urls: list[str]
    process: Process


@contextmanager
def services(peers: int) -> Iterator[Services]:
    """An indexing server and `peers` peer nodes as shipped, on free ports, with logs in a temporary folder."""
    with indexing_server() as server, peer_nodes(server.url, peers) as nodes:
        yield Services(server.url, nodes.urls)


@contextmanager
def indexing_server(*options: str) -> Iterator[Server]:
    """An indexing server as shipped, on a free port, with the options named."""
    with _script("indexing_server.py", 1, *options) as (process, (url,)):
        yield Server(url, process)


@contextmanager
def peer_nodes(index_url: str, count: int, complaints: IO[str] | None = None) -> Iterator[Nodes]:
    """`count` peer nodes as shipped, on free ports; `complaints` takes their standard error."""
    options = ("--count", str(count), "--index-url", index_url)
    with _script("peer_node.py", count, *options, complaints=complaints) as (process, urls):
        yield Nodes(urls, process)


@contextmanager
def program(command: Sequence[str], port: int, folder: Path = ROOT) -> Iterator[Server]:
    """A program, started in a folder, that listens on a port of 127.0.0.1; ready once it accepts connections."""
    with running(command, folder) as process:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotStarted(f"{command[0]} ended, or took {START_SECONDS:g} seconds, before it served.")
            time.sleep(POLL_SECONDS)
        yield Server(f"http://127.0.0.1:{port}", process)


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
def running(
    command: Sequence[str], folder: Path = ROOT, output: int = subprocess.DEVNULL, complaints: IO[str] | None = None
) -> Iterator[Process]:
    """A process in a folder, which is stopped afterwards if it still runs.

    Its standard error goes to `complaints`, else to this process's. It does not inherit PEERBUS_ variables, so that
    figures depend on the options named here alone.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PEERBUS_")}
    with subprocess.Popen(  # noqa: S603  # what the benchmarks name
        command, cwd=folder, stdout=output, stderr=complaints, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            _stop(process)


@contextmanager
def _script(
    script: str, count: int, *options: str, complaints: IO[str] | None = None
) -> Iterator[tuple[Process, list[str]]]:
    """A command line of the project, and the URLs of the `count` services that it starts, once they serve."""
    with tempfile.TemporaryDirectory(prefix="peerbus-benchmark-") as logs:
        command = [sys.executable, str(ROOT / script), "--port", "0", "--log-dir", logs, *options]
        with running(command, output=subprocess.PIPE, complaints=complaints) as process:
            yield process, _urls(process, script, count)


def _urls(process: Process, script: str, count: int) -> list[str]:
    found: dict[str, str] = {}
    timeout = START_SECONDS + count * SECONDS_PER_SERVICE
    timer = threading.Timer(timeout, process.kill)
    timer.start()
    try:
        while len(found) < count:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise NotStarted(f"{script} ended, or took {timeout:g} seconds, before all of it served.")
            match = SERVES_AT.search(line)
            if match:
                found[match[1]] = line.split()[0]
    finally:
        timer.cancel()
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


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in found for child in file.read_text().split()]


def processor_seconds(pid: int) -> float:
    """The processor time, user and system, that all threads of a process and its child processes have used."""
    return sum(time.clock_gettime(~each << 3 | CPU_CLOCK) for each in (pid, *children(pid)))


def resident_mib(pid: int) -> float:
    """The memory that a process has in use, including all that it shares (RSS)."""
    return mib(Path(f"/proc/{pid}/status").read_text(), "VmRSS")


def proportional_mib(pid: int) -> float:
    """The memory that a process has in use, including its part of what it shares (PSS)."""
    return mib(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss")


def mib(text: str, name: str) -> float:
    """A figure that Linux gives in kB."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{name} is not in {text!r}.")
    return int(found[1]) / 1024


class StealTime:
    """The processor time that the hypervisor has given to other virtual machines since this object was made."""

    def __init__(self, source: Path = Path("/proc/stat")) -> None:
        """Read steal time from `source`, a file in the format of /proc/stat."""
        self._source = source
        self._began = time.perf_counter()
        self._before = self._seconds()

    def share(self) -> float:
        """The steal time as a share of all processors' time; 0 where the system does not report it."""
        available = (time.perf_counter() - self._began) * (os.cpu_count() or 1)
        return (self._seconds() - self._before) / available

    def _seconds(self) -> float:
        try:
            return int(self._source.read_text().split(maxsplit=STEAL + 1)[STEAL]) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError, ValueError):
            return 0.0
